"""Erasing a person's data: what is to be erased, what was, and how the audit names it."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import StringConstraints

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Record, TenantId

# Tasks that one entry of the audit names; of more there are several entries.
TASKS_IN_AN_ENTRY = 1000


class Erasure(Record):
    """Whose contents are to be erased: a plan's with all of its tasks, or one task's."""

    tenant_id: TenantId
    plan_id: UUID | None
    task_id: UUID | None
    actor: str
    # For the record, and never erased: it must not hold the data itself.
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]

    @property
    def asked_for(self) -> str:
        """The id, as people see it."""
        if self.task_id is not None:
            return format_id(IdKind.TASK, self.task_id)
        assert self.plan_id is not None
        return format_id(IdKind.PLAN, self.plan_id)


class Erased(Record):
    """What lost its contents now; nothing where all of it had been erased before."""

    plans: tuple[UUID, ...] = ()
    tasks: tuple[UUID, ...] = ()
    results: tuple[tuple[UUID, int], ...] = ()  # task and attempt
    cards: tuple[tuple[UUID, UUID], ...] = ()  # task and card
    state: tuple[tuple[UUID, str], ...] = ()  # task and key of shared state
    # Cards that waited for people and were denied with it: task and card.
    closed: tuple[tuple[UUID, UUID], ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing was left to erase."""
        return not (self.plans or self.tasks or self.results or self.cards or self.state)


def card_closed_event(erasure: Erasure, plan_id: UUID, card: Mapping[str, Any]) -> AuditEvent:
    """The entry of a card that is closed because what it shows is erased.

    Args:
        erasure: what was asked.
        plan_id: the card's plan.
        card: its `card_id`, `task_id`, `version`, `result_sha256` and `approvals` so far.
    """
    facts = {
        "card_id": card["card_id"].hex,
        "result_sha256": card["result_sha256"].hex(),
        "status": "denied",
        "version": card["version"],
        "note_sha256": None,
        "approvals": list(card["approvals"]),
        "reason": erasure.reason,
    }
    kind = AuditKind.REVIEW_DECIDED
    return AuditEvent(kind=kind, actor=erasure.actor, plan_id=plan_id, task_id=card["task_id"], facts=facts)


def erased_events(erasure: Erasure, erased: Erased, plan_id: UUID) -> list[AuditEvent]:
    """The entries that name what was erased: each names some tasks, with results, cards and state keys.

    Args:
        erasure: what was asked.
        erased: what was done.
        plan_id: the plan, or that of the task.
    """
    first = {"plans": [plan.hex for plan in erased.plans], "asked_for": erasure.asked_for, "reason": erasure.reason}
    events = []
    for start in range(0, max(1, len(erased.tasks)), TASKS_IN_AN_ENTRY):
        tasks = erased.tasks[start : start + TASKS_IN_AN_ENTRY]
        named = set(tasks)
        facts = {
            **first,
            "tasks": [task.hex for task in tasks],
            "results": [[task.hex, attempt] for task, attempt in erased.results if task in named],
            "cards": [card.hex for task, card in erased.cards if task in named],
            "state_keys": [key for task, key in erased.state if task in named],
            # Entries of the audit itself lose nothing: they hold no contents.
            "entries": [],
        }
        events.append(
            AuditEvent(
                kind=AuditKind.AUDIT_ERASED, actor=erasure.actor, plan_id=plan_id, task_id=erasure.task_id, facts=facts
            )
        )
        first = first | {"plans": []}
    return events
