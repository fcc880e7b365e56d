"""Stopping, pausing and trying again, as submitters ask for it: the store in the role `app`."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from pydantic import Field

from chimera.models.record import Instant, Record
from chimera.models.work.plan import PlanChange, PlanState, standing
from chimera.models.work.retry import EndedTask, RetryDraft, RetryKind
from chimera.models.work.session import SessionState


class Retry(Record):
    """What of a plan is to be tried again."""

    tenant_id: str
    plan_id: UUID
    kinds: frozenset[RetryKind] = Field(min_length=1)
    task_id: UUID | None = None  # only this task of it
    actor: str
    deadline: Instant | None = None  # of the new plan


class Retried(Record):
    """The plan that tries again: made by this call, or by an earlier one that left nothing to this."""

    plan_id: UUID
    retry_of: UUID
    created: bool
    state: PlanState
    tasks: int  # of it; none where it waits for its planner
    # Tasks that are not tried again because what they depend on is not.
    left_out: int = 0
    paused: bool = False  # its session was paused: it waits until that is resumed

    @property
    def standing(self) -> str:
        """Its state for people: `running`, or `running (paused)`."""
        return standing(self.state, paused=self.paused)


RetryDrafter = Callable[[Sequence[EndedTask]], RetryDraft]


class ControlStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable.

    Those on many plans take the tenant's, or one session's, `limit` at a time: what they changed is not
    among them any more when they are called again, and one that ends meanwhile is passed over. With `only_if` they
    change nothing where the session is in another state.
    """

    def stop(self, tenant_id: str, plan_id: UUID, end: PlanState, actor: str) -> PlanState:
        """Lets no further task start; the Judge closes what is open. Returns the state that the plan is in now.

        Raises:
            PlanNotFound: the tenant has no such plan.
            PlanAlreadyEnded: it has ended otherwise.
        """
        ...

    def stop_open(
        self,
        tenant_id: str,
        session_id: str | None,
        end: PlanState,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        """As `stop`, for open plans."""
        ...

    def pause(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:
        """Lets nothing of a plan start until it is resumed; what runs goes on. Pausing twice is once.

        Raises:
            PlanNotFound: the tenant has no such plan.
            PlanAlreadyEnded: it has ended, or stops.
        """
        ...

    def pause_open(
        self,
        tenant_id: str,
        session_id: str | None,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        """As `pause`, for open plans that are not paused."""
        ...

    def resume(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:
        """Lets a plan go on: what waits in it is to be sent anew. Where it is not paused nothing changes.

        Raises:
            PlanNotFound: the tenant has no such plan.
            PlanAlreadyEnded: it has ended, or stops.
        """
        ...

    def resume_open(
        self,
        tenant_id: str,
        session_id: str | None,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        """As `resume`, for paused plans."""
        ...

    def retry(self, retry: Retry, draft: RetryDrafter) -> Retried:
        """Makes the plan that tries again what the other's tasks (or planner) failed at, each task once.

        A task that an earlier call took is not taken again. So the same call twice is the same plan.

        Raises:
            PlanNotFound: the tenant has no such plan.
            Conflict: tasks of the plan are still open.
            NothingToRetry: it has no such task, or only such as are left out.
            SessionStopped: its session takes no plan any more.
        """
        ...

    def retryable(
        self, tenant_id: str, session_id: str | None, kinds: frozenset[RetryKind], after: UUID, limit: int
    ) -> list[UUID]:
        """Plans with an id above `after`, in order, of which something ended in these ways and none is open."""
        ...
