"""Turning a plan into tasks and waves."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from chimera.errors import InvalidInput
from chimera.failpoints import Failpoint, failpoint
from chimera.models.budget.estimate import PlannedTask
from chimera.models.record import canonical_json
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.draft import Draft
from chimera.models.work.task import Task
from chimera.models.work.timing import PLANNING_LEASE_SECONDS
from chimera.models.work.wave import lay_out
from chimera.ports.clock import Clock
from chimera.ports.plan_store import PlanningJob, PlanStore
from chimera.ports.planner_runner import PlannerRunner, PlanRejected
from chimera.ports.skill_runner import EndingWith
from chimera.services.calls import never
from chimera.services.dispatcher import Dispatcher
from chimera.services.lease_keeper import LeaseKeeper

log = structlog.get_logger(__name__)

# A planner whose process dies is started at most three times: it may be the planner that kills the process.
MAX_PLANNER_ATTEMPTS = 3
# The lease is kept beyond the time limit by this, to store what was planned.
STORE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class UnplacedTask:
    """A yielded task, checked, before it has its place in a wave."""

    task_id: UUID
    ordinal: int
    draft: Draft
    # The tasks it depends on, and how many waves must come before its own for them.
    before: tuple["UnplacedTask", ...]
    depth: int

    def task(self, tenant_id: str, plan_id: UUID, wave_no: int, priority: int) -> Task:
        """The task in its place."""
        return Task(
            tenant_id=tenant_id,
            plan_id=plan_id,
            task_id=self.task_id,
            ordinal=self.ordinal,
            wave_no=wave_no,
            skill=self.draft.skill,
            input=self.draft.input,
            label=self.draft.label,
            priority=priority,
            timeout_seconds=self.draft.timeout_seconds,
            max_attempts=self.draft.max_attempts,
            depends_on=tuple(other.task_id for other in self.before),
            state_key=self.draft.state_key,
        )


class PlannerService:
    """Runs a plan's planner, stores all of its tasks at once, and sends the first waves."""

    def __init__(
        self,
        store: PlanStore,
        dispatcher: Dispatcher,
        keeper: LeaseKeeper,
        catalogue: Catalogue,
        clock: Clock,
        runner: PlannerRunner,
        *,
        timeout_seconds: float,
        wave_size: int,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._catalogue = catalogue
        self._clock = clock
        self._runner = runner
        self._timeout_seconds = timeout_seconds
        self._wave_size = wave_size

    def plan(self, tenant_id: str, plan_id: UUID) -> int:
        """Plans a plan once, however often it is asked to; returns the number of tasks stored.

        A planner that raises, or yields what is no task, fails the plan with the reason. A plan whose planner this
        process lacks is left to one that has it.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; asked again, it starts again.
        """
        token = self._clock.new_id()
        job = self._store.begin_planning(tenant_id, plan_id, token, PLANNING_LEASE_SECONDS, self._catalogue.planners)
        if job is None:
            return 0
        with bound_contextvars(trace_id=job.trace_id):
            return self._plan(tenant_id, plan_id, token, job)

    def _plan(self, tenant_id: str, plan_id: UUID, token: UUID, job: PlanningJob) -> int:
        failpoint(Failpoint.PLANNER_CLAIMED, tenant_id)
        renew = partial(self._store.renew_planning, tenant_id, plan_id, token, PLANNING_LEASE_SECONDS)
        with self._keeper.keeping(renew, self._timeout_seconds + STORE_SECONDS) as lease:
            try:
                drafts = self._unplaced(tenant_id, job, lease.ending_with)
            except PlanRejected as exc:
                self._store.fail_plan(tenant_id, plan_id, token, exc.failure)
                log.warning("plan_failed", code=exc.failure.code)
                return 0
            failpoint(Failpoint.PLANNER_RAN, tenant_id)
            waves, placed = lay_out(drafts, self._wave_size)
            tasks = [draft.task(tenant_id, plan_id, wave_no, job.priority) for wave_no, draft in placed]
            has_replan = self._catalogue.planner(job.planner).replan_hook is not None
            if not self._store.save_tasks(tenant_id, plan_id, token, waves, tasks, has_replan=has_replan):
                log.warning("planning_lease_lost")
                return 0
        log.info("plan_planned", tasks=len(tasks), waves=len(waves))
        failpoint(Failpoint.PLANNER_SAVED, tenant_id)
        self._dispatcher.dispatch(tenant_id)
        return len(tasks)

    def preview(self, planner: str, goal: str, inputs: dict[str, Any]) -> list[PlannedTask]:
        """The tasks that a planner yields, which are stored nowhere.

        Raises:
            InvalidInput: it is not known here, does not take the inputs, or fails; the message says how.
        """
        text = canonical_json(inputs)
        job = PlanningJob(planner=planner, goal=goal, inputs=text, priority=50, attempt=1, trace_id="preview")
        try:
            drafts = self._unplaced("", job, never)
        except PlanRejected as exc:
            raise InvalidInput(f"planner {planner!r}: {exc.failure.code}: {exc.failure.message}") from exc
        return [PlannedTask(each.draft.skill, each.draft.max_attempts) for each in drafts]

    def _unplaced(self, tenant_id: str, job: PlanningJob, ending_with: EndingWith) -> list[UnplacedTask]:
        if job.attempt > MAX_PLANNER_ATTEMPTS:
            message = f"the planner was started {MAX_PLANNER_ATTEMPTS} times and never finished: its process was ended"
            raise PlanRejected("planner_lost", message)
        tasks: list[UnplacedTask] = []
        for ordinal, draft in enumerate(self._runner.drafts(tenant_id, job, ending_with)):
            before = tuple(tasks[place] for place in draft.before)
            depth = 1 + max(other.depth for other in before) if before else 0
            tasks.append(UnplacedTask(self._clock.new_id(), ordinal, draft, before, depth))
        return tasks
