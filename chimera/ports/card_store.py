"""Review cards and what people do with them: the store in the role `review`, which alone says what people decide."""

from typing import Protocol
from uuid import UUID

from chimera.models.gate.deciding import Decided
from chimera.models.gate.gate import Staged
from chimera.models.gate.policy import PolicyInForce
from chimera.models.record import Record
from chimera.models.text.person import PersonName
from chimera.models.work.decision import Reason


class CardDecision(Record):
    """A person's decision on what a card shows."""

    card_id: UUID
    # What the person saw: the card's version, and the hash of the outcome that it showed.
    version: int
    seen_sha256: bytes
    approve: bool
    decided_by: PersonName
    note: str | None


class CardEdit(Record):
    """A person's version of a result, gated."""

    card_id: UUID
    # What the person saw: the card's version, and the hash of the outcome that it showed.
    version: int
    seen_sha256: bytes
    edited_by: PersonName
    note: str | None
    # JSON text of the outcome in canonical form: the bytes that are hashed and, once approved, committed.
    outcome: str
    sha256: bytes
    # What the policy found in it, and which policy.
    reasons: tuple[Reason, ...]
    policy_version: str
    # Whether it counts as its editor's approval; not where the policy found what nobody has been shown yet.
    approve: bool


class ToEdit(Record):
    """What gating an edit needs: the result as the agent staged it, and what applies to the tenant now."""

    staged: Staged
    policy: PolicyInForce


class CardStore(Protocol):
    """Each method is one transaction in the scope of one tenant, with its audit entries.

    All raise StoreUnavailable, those that name a card CardNotFound, and those that change one:

    Raises:
        CardAlreadyDecided: the card waits for nobody any more; the message names who decided.
        CardClaimed: somebody else has it; the message names who, and until when.
    """

    def claim(self, tenant_id: str, card_id: UUID, who: str, seconds: float) -> None:
        """Keeps the card for a person for these seconds from now: until then nobody else decides on it."""
        ...

    def claim_next(self, tenant_id: str, who: str, seconds: float, skill: str | None) -> UUID | None:
        """Claims the oldest card that nobody has claimed and that this person has not approved; None: there is none."""
        ...

    def release(self, tenant_id: str, card_id: UUID, who: str) -> None:
        """Gives a claim back; nothing where there is none."""
        ...

    def decide(self, tenant_id: str, decision: CardDecision) -> Decided:
        """Writes a person's denial, or approval; with the approval that reaches the card's quorum the result commits.

        What is written with the deciding one is what DecisionStore.decide_wave writes for a decision of the Judge's.
        Returns it; an approval that others must follow decides nothing.

        Raises:
            CardChanged: it shows another version, or other bytes, than the person saw.
            Conflict: the same person has approved it before, in whatever spelling of the name, shared state has changed
                since the result was made, or the plan was stopped.
        """
        ...

    def to_edit(self, tenant_id: str, card_id: UUID) -> ToEdit:
        """What gating an edit needs."""
        ...

    def edit(self, tenant_id: str, edit: CardEdit) -> Decided:
        """Writes a new version of the result; where it counts as an approval, all that `decide` writes with it.

        Approvals of other versions do not count for it. Returns what was decided, as `decide`.

        Raises:
            CardChanged, Conflict: as `decide`.
            PolicyChanged: it was gated by another policy than the one in force; nothing was written.
        """
        ...
