"""A plan: what a tenant asks for, and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from chimera.errors import DeadlinePassed
from chimera.models.record import Instant, Record, TenantId, Text, canonical_json, sha256
from chimera.models.work.task import TaskState


class PlanState(StrEnum):
    """Where a plan is on its way."""

    SUBMITTED = "submitted"  # waits for its planner
    PLANNING = "planning"  # the planner runs
    RUNNING = "running"  # its tasks are worked on
    IN_REVIEW = "in_review"  # only people's decisions are missing
    STOPPING = "stopping"  # cancelled or expired; open tasks are being closed
    COMPLETED = "completed"  # every task was approved, or denied by the gate or a person
    # Every task has its final decision, but some of them came to no answer that anybody could approve or deny: their
    # attempts failed, were lost, or needed a task that was not approved.
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    FAILED = "failed"  # the planner failed; it has no tasks
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # the deadline came first


# Plans that can be stopped or paused.
OPEN = frozenset({PlanState.SUBMITTED, PlanState.PLANNING, PlanState.RUNNING, PlanState.IN_REVIEW})
ENDED = frozenset(
    {
        PlanState.COMPLETED,
        PlanState.COMPLETED_WITH_FAILURES,
        PlanState.FAILED,
        PlanState.CANCELLED,
        PlanState.EXPIRED,
    }
)


# Of tasks that came to an answer: the gate's or a person's.
ANSWERED = frozenset({TaskState.APPROVED, TaskState.DENIED})


def ends_as(stop_state: PlanState | None, *, all_answered: bool) -> PlanState:
    """How a plan ends whose tasks have ended: as it was stopped, else by whether each task is in ANSWERED."""
    return stop_state or (PlanState.COMPLETED if all_answered else PlanState.COMPLETED_WITH_FAILURES)


class PlanRequest(Record):
    """A plan that somebody wants done."""

    tenant_id: TenantId
    session_id: Text | None = Field(default=None, max_length=200)
    planner: Text = Field(min_length=1, max_length=200)
    goal: Text = Field(default="", max_length=10_000)
    inputs: dict[str, Any] = Field(default_factory=dict)
    deadline: Instant | None = None
    priority: int = Field(default=50, ge=0, le=100)  # higher goes first within the tenant
    idempotency_key: Text | None = Field(default=None, min_length=1, max_length=200)
    trace_id: Text = Field(min_length=1, max_length=200)

    def sha256(self) -> bytes:
        """The request's identity behind an idempotency key; two requests may differ in trace_id only."""
        return sha256(canonical_json(self.model_dump(mode="json", exclude={"trace_id", "idempotency_key"})))


def require_future(deadline: datetime | None, now: datetime) -> None:
    """Lets no plan be made that would end at once.

    Raises:
        DeadlinePassed: there is a deadline, and it is not in the future.
    """
    if deadline is not None and deadline <= now:
        raise DeadlinePassed(
            f"the deadline {deadline.isoformat()} has passed: it is {now.isoformat(timespec='seconds')}"
        )


class PlanFailure(Record):
    """Why a plan failed before it had tasks."""

    code: str
    message: str


class PlanCounts(Record):
    """How many tasks of a plan are where."""

    tasks: int = Field(ge=0)
    committed: int = Field(default=0, ge=0)
    in_review: int = Field(default=0, ge=0)
    denied: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)  # exhausted
    cancelled: int = Field(default=0, ge=0)  # or expired

    @property
    def gated(self) -> int:
        """Tasks with a decision: final, or that a person must decide."""
        return self.committed + self.in_review + self.denied + self.failed + self.cancelled

    @property
    def open(self) -> int:
        """Tasks that the Judge has not seen yet."""
        return self.tasks - self.gated


class Plan(Record):
    """A plan as it stands now."""

    tenant_id: TenantId
    plan_id: UUID
    planner: str
    goal: str
    state: PlanState
    priority: int
    trace_id: str
    session_id: str | None = None
    idempotency_key: str | None = None
    deadline: Instant | None = None
    failure: PlanFailure | None = None
    counts: PlanCounts
    first_audit_seq: int
    submitted_at: Instant
    finished_at: Instant | None = None
    # Since when nothing of it starts, and who asked for that; none where it goes on or has ended.
    paused_at: Instant | None = None
    paused_by: str | None = None
    # The plan whose failed tasks, or whose request, this one tries again.
    retry_of: UUID | None = None
    # When its goal and inputs were erased; the goal is empty then.
    erased_at: Instant | None = None

    @property
    def paused(self) -> bool:
        """Whether nothing of it starts until it is resumed."""
        return self.paused_at is not None

    @property
    def standing(self) -> str:
        """Its state for people: `running`, or `running (paused)`."""
        return standing(self.state, paused=self.paused)


class PlanChange(Record):
    """How a plan stands after it was cancelled, paused or resumed."""

    plan_id: UUID
    state: PlanState
    paused: bool = False

    @property
    def standing(self) -> str:
        """Its state for people: `running`, or `running (paused)`."""
        return standing(self.state, paused=self.paused)


def standing(state: PlanState, *, paused: bool) -> str:
    """A plan's state for people."""
    shown = "completed with failures" if state is PlanState.COMPLETED_WITH_FAILURES else str(state)
    return f"{shown} (paused)" if paused else shown
