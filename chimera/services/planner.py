"""Turning a plan into tasks and waves."""

import traceback
from collections.abc import Iterable
from uuid import UUID

import structlog
from pydantic import ValidationError

from chimera.errors import InvalidInput, UnknownPlanner, UnknownSkill
from chimera.models.plan import PlanFailure
from chimera.models.record import canonical_json
from chimera.models.skill import Catalogue, describe
from chimera.models.task import Task, TaskSpec
from chimera.models.wave import Wave
from chimera.ports.clock import Clock
from chimera.ports.plan_store import PlanningJob, PlanStore
from chimera.services.dispatcher import Dispatcher

log = structlog.get_logger(__name__)


class PlanRejected(Exception):  # noqa: N818  it carries the outcome, it is not a fault of Chimera's
    """The planner failed, or yielded what cannot become tasks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = PlanFailure(code=code, message=message[:2000])


class PlannerService:
    """Runs a plan's planner, stores all of its tasks at once, and sends the first waves."""

    def __init__(
        self,
        store: PlanStore,
        dispatcher: Dispatcher,
        catalogue: Catalogue,
        clock: Clock,
        *,
        lease_seconds: float,
        wave_size: int,
        max_tasks: int,
        max_input_bytes: int,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._catalogue = catalogue
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._wave_size = wave_size
        self._max_tasks = max_tasks
        self._max_input_bytes = max_input_bytes

    def plan(self, tenant_id: str, plan_id: UUID) -> int:
        """Plans a plan once, however often it is asked to; returns the number of tasks stored.

        A planner that raises, or yields what is no task, fails the plan with the reason.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; asked again, it starts again.
        """
        token = self._clock.new_id()
        job = self._store.begin_planning(tenant_id, plan_id, token, self._lease_seconds)
        if job is None:
            return 0
        try:
            tasks, depths = self._tasks(tenant_id, plan_id, job)
        except PlanRejected as exc:
            self._store.fail_plan(tenant_id, plan_id, token, exc.failure)
            log.warning("plan_failed", code=exc.failure.code)
            return 0
        waves, placed = lay_out(tasks, depths, self._wave_size)
        if not self._store.save_tasks(tenant_id, plan_id, token, waves, placed):
            log.warning("planning_lease_lost")
            return 0
        log.info("plan_planned", tasks=len(tasks), waves=len(waves))
        self._dispatcher.dispatch(tenant_id)
        return len(tasks)

    def _tasks(self, tenant_id: str, plan_id: UUID, job: PlanningJob) -> tuple[list[Task], list[int]]:
        """The tasks in the planner's order, and for each how many waves must come before its own."""
        tasks: list[Task] = []
        depths: list[int] = []
        places: dict[int, int] = {}  # id() of a yielded spec, kept alive in `specs` -> ordinal
        specs: list[TaskSpec] = []
        for spec in self._specs(job):
            ordinal = len(tasks)
            if ordinal >= self._max_tasks:
                raise PlanRejected(
                    "too_many_tasks",
                    f"the planner yielded more than {self._max_tasks} tasks (CHIMERA_MAX_TASKS_PER_PLAN)",
                )
            if spec.depends_on:
                try:
                    before = [places[id(other)] for other in spec.depends_on]
                except KeyError:
                    raise PlanRejected(
                        "unknown_dependency",
                        f"task {ordinal} depends on a task that was not yielded before it",
                    ) from None
                depths.append(1 + max(depths[place] for place in before))
            else:
                before = []
                depths.append(0)
            dependencies = tuple(tasks[place].task_id for place in before)
            tasks.append(self._task(tenant_id, plan_id, job.priority, ordinal, spec, dependencies))
            specs.append(spec)
            places[id(spec)] = ordinal
        return tasks, depths

    def _specs(self, job: PlanningJob) -> Iterable[TaskSpec]:
        """What the planner yields, with anything it raises turned into the plan's failure."""
        try:
            for spec in self._catalogue.planner(job.planner).specs(job.goal, job.inputs):
                if not isinstance(spec, TaskSpec):
                    raise PlanRejected(
                        "not_a_task",
                        f"the planner yielded a {type(spec).__name__}, not a task: use skill.task(...)",
                    )
                yield spec
        except (PlanRejected, GeneratorExit):
            raise
        except UnknownPlanner as exc:
            raise PlanRejected("unknown_planner", str(exc)) from exc
        except ValidationError as exc:
            raise PlanRejected("invalid_inputs", describe(exc)) from exc
        except InvalidInput as exc:
            raise PlanRejected("invalid_inputs", str(exc)) from exc
        except Exception as exc:
            where = traceback.extract_tb(exc.__traceback__)[-1]
            raise PlanRejected(
                "planner_raised", f"{type(exc).__name__}: {exc} ({where.name}, line {where.lineno})"
            ) from exc

    def _task(
        self,
        tenant_id: str,
        plan_id: UUID,
        priority: int,
        ordinal: int,
        spec: TaskSpec,
        dependencies: tuple[UUID, ...],
    ) -> Task:
        try:
            skill = self._catalogue.skill(spec.skill)
            arguments = skill.dump_input(spec.input)
            label = None if spec.label is None else canonical_json(spec.label)
        except UnknownSkill as exc:
            raise PlanRejected("unknown_skill", f"task {ordinal}: {exc}") from exc
        except ValidationError as exc:
            raise PlanRejected("invalid_task", f"task {ordinal} ({spec.skill}): {describe(exc)}") from exc
        except (TypeError, ValueError) as exc:
            raise PlanRejected("invalid_task", f"task {ordinal} ({spec.skill}): {exc}") from exc
        if len(arguments) > self._max_input_bytes:
            raise PlanRejected(
                "input_too_large",
                f"task {ordinal} ({spec.skill}): {len(arguments)} bytes of input, and at most "
                f"{self._max_input_bytes} are taken (CHIMERA_MAX_INPUTS_BYTES)",
            )
        # Every field was checked above or by the spec: validating a hundred thousand tasks again is time for nothing.
        return Task.model_construct(
            tenant_id=tenant_id,
            plan_id=plan_id,
            task_id=self._clock.new_id(),
            parent_task_id=None,
            ordinal=ordinal,
            wave_no=0,
            skill=spec.skill,
            input=arguments,
            label=label,
            priority=priority,
            timeout_seconds=spec.timeout_seconds or skill.timeout_seconds,
            max_attempts=spec.max_attempts or skill.max_attempts,
            depends_on=dependencies,
            state_key=spec.state_key,
        )


def lay_out(tasks: list[Task], depths: list[int], wave_size: int) -> tuple[list[Wave], list[Task]]:
    """Cuts tasks into waves of at most `wave_size`, so that no task shares a wave with one it depends on.

    Returns the waves and the tasks in the order of their waves; within a wave the planner's order stays.
    """
    waves: list[Wave] = []
    placed: list[Task] = []
    by_depth: dict[int, list[Task]] = {}
    for task, depth in zip(tasks, depths, strict=True):
        by_depth.setdefault(depth, []).append(task)
    for depth, same in sorted(by_depth.items()):
        for start in range(0, len(same), wave_size):
            chunk = same[start : start + wave_size]
            placed += [task.model_copy(update={"wave_no": len(waves)}) for task in chunk]
            waves.append(Wave(wave_no=len(waves), task_count=len(chunk), has_dependencies=depth > 0))
    return waves, placed
