"""Asking a plan's planner about tasks whose results the gate sent back."""

from functools import partial
from time import monotonic
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from chimera.failpoints import Failpoint, failpoint
from chimera.models.ids import IdKind, format_id
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.replan import MAX_REPLAN_TRIES
from chimera.models.work.timing import HOOK_AGAIN_SECONDS, PLANNING_LEASE_SECONDS
from chimera.models.work.wave import WaveRef
from chimera.ports.clock import Clock
from chimera.ports.planner_runner import PlannerRunner, PlanRejected
from chimera.ports.replan_store import ReplanJob, Replanned, ReplanStore
from chimera.services.dispatcher import Dispatcher
from chimera.services.lease_keeper import Lease, LeaseKeeper
from chimera.services.planner import STORE_SECONDS

log = structlog.get_logger(__name__)

# A planner works on one wave for 5 s; the rest of the wave then waits behind other plans.
TURN_SECONDS = 5.0


class ReplannerService:
    """Runs replan hooks, one task after the other. Several processes may work on a wave: each task is held by one."""

    def __init__(
        self,
        store: ReplanStore,
        dispatcher: Dispatcher,
        keeper: LeaseKeeper,
        catalogue: Catalogue,
        clock: Clock,
        runner: PlannerRunner,
        *,
        timeout_seconds: float,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._catalogue = catalogue
        self._clock = clock
        self._runner = runner
        self._timeout_seconds = timeout_seconds
        self._turn_seconds = turn_seconds

    def replan_wave(self, wave: WaveRef) -> int:
        """Asks about the wave's tasks that wait for their planner; returns about how many.

        A hook that raises, overruns or answers what is no task is asked again, and its task is denied when that
        was so three times. Where this process lacks the planner, it asks about nothing: one that has it will.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; asked again, it goes on.
        """
        end = monotonic() + self._turn_seconds
        asked, given_up = 0, False
        trace_id: str | None = None
        while monotonic() < end:
            token = self._clock.new_id()
            job = self._store.begin(wave, token, PLANNING_LEASE_SECONDS, self._catalogue.planners)
            if job is None:
                break
            failpoint(Failpoint.REPLAN_BEGUN, wave.tenant_id)
            asked += 1
            trace_id = job.trace_id
            task_id = format_id(IdKind.TASK, job.denied.task_id)
            with bound_contextvars(trace_id=trace_id, task_id=task_id, attempt=job.denied.attempt):
                given_up = self._replan(wave, job, token) or given_up
        else:
            self._dispatcher.ask_planner(wave, trace_id)
        if given_up:
            self._dispatcher.ask_judge(wave, trace_id)
        if asked:
            self._dispatcher.dispatch(wave.tenant_id)
        return asked

    def _replan(self, wave: WaveRef, job: ReplanJob, token: UUID) -> bool:
        """Asks about one task; returns whether the Judge is to end it."""
        task_id = job.denied.task_id
        renew = partial(self._store.renew, wave, task_id, token, PLANNING_LEASE_SECONDS)
        with self._keeper.keeping(renew, self._timeout_seconds + STORE_SECONDS) as lease:
            try:
                replanned = self._replanned(wave.tenant_id, job, lease)
            except PlanRejected as exc:
                log.warning("replan_failed", code=exc.failure.code, tries=job.tries)
                failure = f"{exc.failure.code}: {exc.failure.message}"
                if job.tries < MAX_REPLAN_TRIES:
                    self._store.postpone(wave, task_id, token, failure, HOOK_AGAIN_SECONDS)
                    return False
                return self._store.give_up(wave, task_id, token, failure)
            failpoint(Failpoint.REPLAN_RAN, wave.tenant_id)
            if replanned is None:
                return self._store.give_up(wave, task_id, token, None)
            if not self._store.save(wave, task_id, token, replanned):
                log.warning("replanning_lease_lost")
            failpoint(Failpoint.REPLAN_SAVED, wave.tenant_id)
        return False

    def _replanned(self, tenant_id: str, job: ReplanJob, lease: Lease) -> Replanned | None:
        if job.tries > MAX_REPLAN_TRIES:
            message = f"the replan hook was started {MAX_REPLAN_TRIES} times and never finished: its process was ended"
            raise PlanRejected("planner_lost", message)
        return self._runner.replanned(tenant_id, job, lease.ending_with)
