"""Cancelling, pausing and resuming plans, and trying again what failed: of one plan, or of many at once."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog

from chimera.errors import Conflict, NotFound, QueueUnavailable
from chimera.failpoints import Failpoint, failpoint
from chimera.models.text.person import require_actor
from chimera.models.work.history import TaskStanding
from chimera.models.work.plan import PlanChange, PlanState, require_future
from chimera.models.work.retry import EndedTask, RetryDraft, RetryKind, draft_retry, kind_of
from chimera.models.work.session import SessionState
from chimera.ports.clock import Clock
from chimera.ports.control_store import ControlStore, Retried, Retry
from chimera.ports.queue import Queue

T = TypeVar("T")

log = structlog.get_logger(__name__)

# One transaction changes up to 500 plans, which takes a few tenths of a second: nobody waits longer for its locks.
PLANS_AT_ONCE = 500


class PlanControl:
    """Changes what plans may do. What it answers is in the store; messages only make it quick.

    The methods on many plans take a session's, or with None all of the tenant's. A plan that ends meanwhile is
    passed over. With `only_if` they stop where the session is in another state. All raise StoreUnavailable: what was
    changed until then stays so, and asked again they go on.
    """

    def __init__(self, store: ControlStore, queue: Queue, clock: Clock, *, wave_size: int) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._wave_size = wave_size

    def cancel(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanState:
        """Stops a plan: no further task starts; what is committed stays. Cancelling twice is once.

        Raises:
            PlanNotFound: the tenant has no such plan.
            PlanAlreadyEnded: it ended otherwise.
        """
        state = self._store.stop(tenant_id, plan_id, PlanState.CANCELLED, require_actor(actor))
        if state is PlanState.STOPPING:
            failpoint(Failpoint.STOP_ASKED, tenant_id)
            self._send(tenant_id, lambda plan_id: self._queue.publish_stop(tenant_id, plan_id), [plan_id])
        return state

    def cancel_open(
        self, tenant_id: str, session_id: str | None, actor: str, *, only_if: SessionState | None = None
    ) -> list[PlanChange]:
        """As `cancel`, for open plans; returns those that it stopped."""
        changes = _all(
            lambda: self._store.stop_open(
                tenant_id, session_id, PlanState.CANCELLED, require_actor(actor), PLANS_AT_ONCE, only_if
            )
        )
        # After the last is stopped: what closes them is in no hurry, and what would start in them is.
        self._send(
            tenant_id,
            lambda plan_id: self._queue.publish_stop(tenant_id, plan_id),
            (change.plan_id for change in changes if change.state is PlanState.STOPPING),
        )
        return changes

    def pause(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:
        """Lets nothing of a plan start until it is resumed. Pausing twice is once.

        What runs finishes, is gated and committed; people may decide on its cards; its deadline goes on.

        Raises:
            PlanNotFound: the tenant has no such plan.
            PlanAlreadyEnded: it has ended, or stops.
        """
        return self._store.pause(tenant_id, plan_id, require_actor(actor))

    def pause_open(
        self, tenant_id: str, session_id: str | None, actor: str, *, only_if: SessionState | None = None
    ) -> list[PlanChange]:
        """As `pause`, for open plans; returns those that were not paused before."""
        return _all(lambda: self._store.pause_open(tenant_id, session_id, require_actor(actor), PLANS_AT_ONCE, only_if))

    def resume(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:
        """Lets a plan go on; where it is not paused nothing changes.

        Raises:
            PlanNotFound: the tenant has no such plan.
            PlanAlreadyEnded: it has ended, or stops.
        """
        change = self._store.resume(tenant_id, plan_id, require_actor(actor))
        self._wake(tenant_id, [change])
        return change

    def resume_open(
        self, tenant_id: str, session_id: str | None, actor: str, *, only_if: SessionState | None = None
    ) -> list[PlanChange]:
        """As `resume`, for paused plans; returns those."""
        changes = _all(
            lambda: self._store.resume_open(tenant_id, session_id, require_actor(actor), PLANS_AT_ONCE, only_if)
        )
        self._wake(tenant_id, changes)
        return changes

    def retry(
        self, tenant_id: str, plan_id: UUID, kinds: Iterable[RetryKind], actor: str, deadline: datetime | None = None
    ) -> Retried:
        """Makes a new plan of those tasks that ended in these ways, or of the request where that is what failed.

        The same again is the same plan, until more has ended so.

        Raises:
            PlanNotFound: the tenant has no such plan.
            Conflict: tasks of the plan are still open.
            NothingToRetry: it has no such task, or only such as depend on what is not tried again.
            DeadlinePassed: the deadline is not in the future.
        """
        asked = frozenset(kinds)
        return self._retry(
            Retry(tenant_id=tenant_id, plan_id=plan_id, kinds=asked, actor=require_actor(actor), deadline=deadline)
        )

    def retry_task(self, task: TaskStanding, actor: str, deadline: datetime | None = None) -> Retried:
        """As `retry`, for one task that did not come to a good end.

        Raises:
            Conflict: it has not ended, or another task of its plan has not.
            NothingToRetry: its result is committed, or it depends on what was not approved.
        """
        kinds = frozenset({kind_of(task.task_id, task.state)})
        return self._retry(
            Retry(
                tenant_id=task.tenant_id,
                plan_id=task.plan_id,
                kinds=kinds,
                task_id=task.task_id,
                actor=require_actor(actor),
                deadline=deadline,
            )
        )

    def retry_ended(
        self,
        tenant_id: str,
        session_id: str | None,
        kinds: Iterable[RetryKind],
        actor: str,
        deadline: datetime | None = None,
    ) -> list[Retried]:
        """As `retry`, for plans of which nothing is open; those with nothing to try again are passed over."""
        chosen = frozenset(kinds)
        plans: list[UUID] = []
        # All of them first: what is made here may fail as quickly, and is not tried again by the same call.
        while page := self._store.retryable(
            tenant_id, session_id, chosen, plans[-1] if plans else UUID(int=0), PLANS_AT_ONCE
        ):
            plans += page
        retried: list[Retried] = []
        for plan_id in plans:
            try:
                retried.append(self.retry(tenant_id, plan_id, chosen, actor, deadline))
            except (Conflict, NotFound):
                continue
        return retried

    def _retry(self, retry: Retry) -> Retried:
        require_future(retry.deadline, self._clock.now())
        retried = self._store.retry(retry, self._draft)
        if retried.created and not retried.paused:
            self._wake(retry.tenant_id, [PlanChange(plan_id=retried.plan_id, state=retried.state)])
        return retried

    def _draft(self, ended: Sequence[EndedTask]) -> RetryDraft:
        return draft_retry(ended, self._clock.new_id(), self._wave_size, self._clock.new_id)

    def _wake(self, tenant_id: str, changes: Sequence[PlanChange]) -> None:
        """Asks for planners, and once for the tenant's next waves."""
        self._send(
            tenant_id,
            lambda plan_id: self._queue.publish_plan(tenant_id, plan_id),
            (change.plan_id for change in changes if change.state is PlanState.SUBMITTED),
        )
        if any(change.state in {PlanState.RUNNING, PlanState.IN_REVIEW} for change in changes):
            self._send(tenant_id, self._queue.publish_dispatch, [tenant_id])

    @staticmethod
    def _send(tenant_id: str, publish: Callable[[T], None], what: Iterable[T]) -> None:
        try:
            for each in what:
                publish(each)
        except QueueUnavailable:
            # The sweep does what these messages ask for.
            log.warning("control_not_published", tenant_id=tenant_id)


def _all(change: Callable[[], list[PlanChange]]) -> list[PlanChange]:
    """What is changed by as many calls as it takes."""
    changes: list[PlanChange] = []
    while page := change():
        changes += page
    return changes
