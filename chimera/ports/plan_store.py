"""Plans as their submitters see them: the store in the role `app`, which submits, plans and reads."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol
from uuid import UUID

from chimera.models.audit.audit import AuditEntry
from chimera.models.audit.entry_filter import EVERY_ENTRY, EntryFilter
from chimera.models.record import Record
from chimera.models.work.lease import Renewal
from chimera.models.work.plan import Plan, PlanFailure, PlanRequest, PlanState
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from chimera.models.work.task import Task, TaskState
from chimera.models.work.wave import Wave


class Submitted(Record):
    """A plan that is stored: by this request, or by an earlier one with the same idempotency key."""

    plan_id: UUID
    created: bool
    # Its session was paused: it waits until that is resumed.
    paused: bool = False


class PlanningJob(Record):
    """What a planner needs, handed to the one that holds the plan's lease."""

    planner: str
    goal: str
    inputs: str  # JSON text
    priority: int
    attempt: int  # from 1: how often the plan's lease was taken
    trace_id: str


class TaskResult(Record):
    """A task of a plan with its latest result."""

    task_id: UUID
    wave_no: int
    ordinal: int
    skill: str
    state: TaskState
    attempt: int
    outcome: SuccessOutcome | FailureOutcome | None
    label: dict[str, object] | None
    # Its input, label and results were erased.
    erased: bool = False

    @property
    def committed(self) -> bool:
        """Whether the Judge or a person approved it."""
        return self.state is TaskState.APPROVED

    @property
    def output(self) -> Any:
        """What the skill answered; None where it did not."""
        return self.outcome.output if isinstance(self.outcome, SuccessOutcome) else None


class PlanStore(Protocol):
    """Each method is one transaction, in the scope of one tenant.

    All raise StoreUnavailable where the store does not answer.
    """

    def submit(self, plan_id: UUID, request: PlanRequest) -> Submitted:
        """Stores a plan and its audit entry; the first of a session makes it. In a paused session it is paused.

        Raises:
            UnknownTenant: there is no such tenant.
            IdempotencyConflict: the key was used with another request.
            SessionStopped: its session takes no plan any more.
            DeadlinePassed: its deadline is not in the future.
        """
        ...

    def check(self, request: PlanRequest) -> None:
        """Raises what `submit` would, and stores nothing."""
        ...

    def mark_published(self, tenant_id: str, plan_id: UUID, epoch: str) -> None:
        """Notes that the planner's message was sent, in this epoch of the broker."""
        ...

    def begin_planning(
        self, tenant_id: str, plan_id: UUID, lease_token: UUID, lease_seconds: float, planners: Collection[str]
    ) -> PlanningJob | None:
        """Takes the plan's lease; None where it is held, or the plan is paused or past planning.

        None too where its planner is not in `planners`, or this process may not run the tenant's code: another one
        may, and is asked later.
        """
        ...

    def renew_planning(self, tenant_id: str, plan_id: UUID, lease_token: UUID, lease_seconds: float) -> Renewal:
        """Prolongs the plan's lease, if it is still held with this token."""
        ...

    def save_tasks(
        self,
        tenant_id: str,
        plan_id: UUID,
        lease_token: UUID,
        waves: Sequence[Wave],
        tasks: Sequence[Task],
        *,
        has_replan: bool = False,
    ) -> bool:
        """Stores all that the planner yielded, at once; a plan of no tasks completes.

        `has_replan`: the planner is to be asked about what the gate sends back. False where the lease was lost:
        nothing is stored.
        """
        ...

    def fail_plan(self, tenant_id: str, plan_id: UUID, lease_token: UUID, failure: PlanFailure) -> bool:
        """Ends a plan whose planner failed. False where the lease was lost."""
        ...

    def get(self, tenant_id: str, plan_id: UUID) -> Plan:
        """The plan as it stands.

        Raises:
            PlanNotFound: the tenant has no such plan.
        """
        ...

    def list_plans(
        self, tenant_id: str, limit: int, state: PlanState | None = None, session_id: str | None = None
    ) -> list[Plan]:
        """The tenant's latest plans, newest first; of one state or session, or all."""
        ...

    def results(self, tenant_id: str, plan_id: UUID, after: tuple[int, int], limit: int) -> list[TaskResult]:
        """Tasks after this wave number and ordinal, in the order of the waves and within each the planner's."""
        ...

    def entries(
        self, tenant_id: str, plan_id: UUID | None, after: int, limit: int, wanted: EntryFilter = EVERY_ENTRY
    ) -> list[AuditEntry]:
        """The first audit entries with a sequence above `after`, in order; of one plan or of all the tenant's."""
        ...

    def erased(self, tenant_id: str, ids: Collection[UUID]) -> set[UUID]:
        """Of these plans and tasks, those whose contents were erased."""
        ...

    def last_entries(self, tenant_id: str, limit: int, wanted: EntryFilter = EVERY_ENTRY) -> list[AuditEntry]:
        """The tenant's latest audit entries, in order."""
        ...
