"""What became of the gate's rulings, to be counted: the store in the role `app`."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from chimera.models.gate.review import CardStatus
from chimera.models.record import Record
from chimera.models.work import decision
from chimera.models.work.decision import Reason
from chimera.models.work.result import FailureOutcome, SuccessOutcome


class GateCount(Record):
    """How often the gate ruled so on results of a skill."""

    skill: str
    verdict: decision.Verdict
    results: int


class CardOutcome(Record):
    """A card, with why it was opened, and what became of it."""

    card_id: UUID
    skill: str
    confidence: float | None
    reasons: tuple[Reason, ...]
    status: CardStatus


class Labelled(Record):
    """A result that the gate has ruled on, of a task whose submitter knew what is right."""

    task_id: UUID
    attempt: int
    skill: str
    outcome: SuccessOutcome | FailureOutcome
    label: dict[str, object]


class Scope(Record):
    """Which results: of a tenant, of one skill or all, ruled on since a moment or ever."""

    tenant_id: str
    skill: str | None = None
    since: datetime | None = None


class VerdictStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def counts(self, scope: Scope) -> list[GateCount]:
        """How the gate ruled, by skill and verdict."""
        ...

    def cards(self, scope: Scope, after: UUID, limit: int) -> list[CardOutcome]:
        """Cards, oldest first, after the one given.

        A card that was erased while it waited is none of them: nobody decided on what it showed.
        """
        ...

    def labelled(self, scope: Scope, after: tuple[UUID, int], limit: int) -> list[Labelled]:
        """Results with a label, by task and attempt after those given."""
        ...
