"""What became of a task: how it stands now, and all that was done with it, in order of time."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from chimera.models.ids import IdKind, format_id
from chimera.models.record import Instant, Record, TenantId
from chimera.models.work.decision import Reason, Verdict
from chimera.models.work.task import TaskState


class TaskStanding(Record):
    """A task as it stands now, without its contents. Times are the database's."""

    tenant_id: TenantId
    plan_id: UUID
    task_id: UUID
    # The task that it tries again; None where it is none's copy.
    parent_task_id: UUID | None = None
    wave_no: int = Field(ge=0)
    ordinal: int = Field(ge=0)  # place in the plan, from 0
    skill: str
    state: TaskState
    attempt: int = Field(ge=0)  # the latest; 0 before the first
    max_attempts: int = Field(ge=1)
    # When its planner's transaction made it, an agent first took it, and it ended; None where that is not so yet, or
    # was before these times were kept.
    created_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None


class TaskAttempt(Record):
    """One attempt, with what came of it; without a result it runs, or was lost with its agent."""

    attempt: int = Field(ge=1)
    skill: str  # what it ran: a planner or a budget may have changed it since
    # None where it was lost before losses were kept.
    agent_id: UUID | None = None
    # When its agent took it, and when it was lost with that agent, by the database's clock; None where that is not so,
    # or was before these times were kept.
    taken_at: Instant | None = None
    lost_at: Instant | None = None
    outcome: Literal["success", "failure"] | None = None  # None, too, where the result was erased
    confidence: float | None = None
    # Why there is no answer.
    code: str | None = None
    message: str | None = None
    tokens: int = Field(default=0, ge=0)
    cost_usd: Decimal = Field(default=Decimal(0), ge=0)
    result_sha256: str | None = None  # hex; None where there is no result
    # By the clock of the worker's machine.
    started_at: Instant | None = None
    finished_at: Instant | None = None


class LateResult(Record):
    """A result that came when its lease was over: it changed nothing."""

    attempt: int = Field(ge=1)
    agent_id: UUID
    result_sha256: str
    refused_at: Instant


class TaskDecision(Record):
    """What the gate or a person said about the task, and why."""

    attempt: int = Field(ge=0)
    verdict: Verdict
    final: bool
    reasons: tuple[Reason, ...]
    policy_version: str
    decided_by: str
    decided_at: Instant
    result_sha256: str | None  # hex; None where it ended without a result
    audit_seq: int = Field(ge=1)
    by_user: str | None = None  # the user and machine of the process with which a person decided: `ann@build-7`


class CardEditing(Record):
    """That a person put another output in the place of a card's, and what the policy found in it."""

    revision: int = Field(ge=1)
    edited_by: str
    edited_at: Instant
    reasons: tuple[Reason, ...]


class CardApproval(Record):
    """That a person approved what a card showed."""

    approved_by: str
    approved_at: Instant
    by_user: str | None = None  # as of a decision


class TaskCard(Record):
    """A review card of the task, and what people did with it."""

    card_id: UUID
    attempt: int = Field(ge=1)
    status: str
    approvals_needed: int = Field(ge=1)
    opened_at: Instant
    decided_by: str | None = None
    decided_at: Instant | None = None
    edits: tuple[CardEditing, ...] = ()
    approvals: tuple[CardApproval, ...] = ()


class TaskCommit(Record):
    """The commit of the task's result."""

    attempt: int = Field(ge=1)
    result_sha256: str
    committed_at: Instant
    # The entry of shared state that it became, and at which version.
    state_key: str | None = None
    state_version: int | None = None


class TaskEventKind(StrEnum):
    """What happened to a task."""

    PLANNED = "planned"
    TAKEN = "taken"  # an agent took it for an attempt
    STARTED = "started"  # an attempt, by the clock of the worker's machine
    RESULT = "result"  # the same attempt's end, by the same clock
    LOST = "lost"  # the attempt's lease ran out without a result
    LATE = "late"  # a result came too late
    DECIDED = "decided"
    CARD_OPENED = "card opened"
    EDITED = "edited"
    APPROVED = "approved"  # by one person; a card may ask for several
    CARD_CLOSED = "card closed"
    COMMITTED = "committed"


class TaskEvent(Record):
    """One thing that happened to a task."""

    at: Instant
    kind: TaskEventKind
    attempt: int | None = None
    actor: str | None = None  # an agent's id as people see it, `policy`, `judge`, or a person
    reasons: tuple[Reason, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)


class TaskHistory(TaskStanding):
    """A task with all that was done with it, and none of its contents."""

    trace_id: str
    session_id: str | None = None
    depends_on: tuple[UUID, ...] = ()
    # The entry of shared state that it is to change, and the version that its latest attempt saw.
    state_key: str | None = None
    state_version: int | None = None
    # Who runs it or ran it last.
    agent_id: UUID | None = None
    lost: int = Field(default=0, ge=0)  # attempts that were lost with their agent
    replans: int = Field(default=0, ge=0)  # times that the gate sent it back
    # The limit of a budget that it did not fit under; the skill that it was planned for, where it runs a cheaper one.
    over_budget: str | None = None
    degraded_from: str | None = None
    erased: bool = False  # its contents were erased
    attempts: tuple[TaskAttempt, ...] = ()
    late_results: tuple[LateResult, ...] = ()
    decisions: tuple[TaskDecision, ...] = ()
    cards: tuple[TaskCard, ...] = ()
    commit: TaskCommit | None = None
    # Tasks of later plans that try it again.
    retried_as: tuple[UUID, ...] = ()

    def timeline(self) -> tuple[TaskEvent, ...]:
        """All that happened, in order of time: attempts by the worker's clock, all else by the database's."""
        return tuple(
            sorted(self._events(), key=lambda event: event.at)
        )  # stable: of one time as they follow from each other

    def _events(self) -> Iterator[TaskEvent]:
        if self.created_at:
            yield TaskEvent(at=self.created_at, kind=TaskEventKind.PLANNED)
        for attempt in self.attempts:
            yield from _of_attempt(attempt)
        for late in self.late_results:
            facts = {"result_sha256": late.result_sha256}
            actor = format_id(IdKind.AGENT, late.agent_id)
            kind = TaskEventKind.LATE
            yield TaskEvent(at=late.refused_at, kind=kind, attempt=late.attempt, actor=actor, facts=facts)
        opened = [decision for decision in self.decisions if decision.verdict is Verdict.HITL]
        closed = [decision for decision in self.decisions if decision.verdict is not Verdict.HITL]
        agents = {attempt.attempt: _agent(attempt.agent_id) for attempt in self.attempts}
        yield from (_of_decision(decision, agents.get(decision.attempt)) for decision in opened)
        asked = {decision.attempt: decision.decided_at for decision in opened}
        for card in self.cards:
            yield from _of_card(card, asked.get(card.attempt, card.opened_at))
        yield from (_of_decision(decision, agents.get(decision.attempt)) for decision in closed)
        if self.commit:
            kept = {"state_key", "state_version", "result_sha256"}
            facts = self.commit.model_dump(mode="json", include=kept, exclude_none=True)
            at, kind = self.commit.committed_at, TaskEventKind.COMMITTED
            yield TaskEvent(at=at, kind=kind, attempt=self.commit.attempt, facts=facts)


def _of_attempt(attempt: TaskAttempt) -> Iterator[TaskEvent]:
    shared: dict[str, Any] = {"attempt": attempt.attempt, "actor": _agent(attempt.agent_id)}
    if attempt.taken_at:
        yield TaskEvent(at=attempt.taken_at, kind=TaskEventKind.TAKEN, **shared)
    if attempt.started_at:
        yield TaskEvent(at=attempt.started_at, kind=TaskEventKind.STARTED, facts={"skill": attempt.skill}, **shared)
    if attempt.finished_at:
        kept = {"outcome", "confidence", "code", "message", "tokens", "cost_usd", "result_sha256"}
        facts = attempt.model_dump(mode="json", include=kept, exclude_none=True)
        yield TaskEvent(at=attempt.finished_at, kind=TaskEventKind.RESULT, facts=facts, **shared)
    if attempt.lost_at:
        yield TaskEvent(at=attempt.lost_at, kind=TaskEventKind.LOST, **shared)


def _agent(agent_id: UUID | None) -> str | None:
    return None if agent_id is None else format_id(IdKind.AGENT, agent_id)


def _of_decision(decision: TaskDecision, agent: str | None) -> TaskEvent:
    """The decision, with the agent that ran the attempt, where one did."""
    kept = {"verdict", "final", "policy_version", "audit_seq", *(["by_user"] if decision.by_user else [])}
    return TaskEvent(
        at=decision.decided_at,
        kind=TaskEventKind.DECIDED,
        attempt=decision.attempt,
        actor=decision.decided_by,
        reasons=decision.reasons,
        facts=decision.model_dump(mode="json", include=kept) | ({} if agent is None else {"agent_id": agent}),
    )


def _of_card(card: TaskCard, asked: datetime) -> Iterator[TaskEvent]:
    # A card is opened and closed some milliseconds before its transaction's decision and approval get their time.
    card_id = {"card_id": format_id(IdKind.CARD, card.card_id)}
    needs = card_id | {"approvals_needed": card.approvals_needed}
    at, kind = max(card.opened_at, asked), TaskEventKind.CARD_OPENED
    yield TaskEvent(at=at, kind=kind, attempt=card.attempt, facts=needs)
    for edit in card.edits:
        yield TaskEvent(
            at=edit.edited_at,
            kind=TaskEventKind.EDITED,
            attempt=card.attempt,
            actor=edit.edited_by,
            reasons=edit.reasons,
            facts=card_id | {"revision": edit.revision},
        )
    for approval in card.approvals:
        at, kind = approval.approved_at, TaskEventKind.APPROVED
        facts = card_id | ({"by_user": approval.by_user} if approval.by_user else {})
        yield TaskEvent(at=at, kind=kind, attempt=card.attempt, actor=approval.approved_by, facts=facts)
    if card.decided_at:
        at = max([card.decided_at, *(approval.approved_at for approval in card.approvals)])
        kind, facts = TaskEventKind.CARD_CLOSED, card_id | {"status": card.status}
        yield TaskEvent(at=at, kind=kind, attempt=card.attempt, actor=card.decided_by, facts=facts)
