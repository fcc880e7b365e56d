"""Turning a plan into tasks and waves."""

import inspect
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any, TypeVar
from uuid import UUID

import structlog
from pydantic import ValidationError
from structlog.contextvars import bound_contextvars

from chimera.errors import InvalidInput, UnknownPlanner, UnknownSkill
from chimera.failpoints import Failpoint, failpoint
from chimera.models.budget.estimate import PlannedTask
from chimera.models.record import canonical_json
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.plan import PlanFailure
from chimera.models.work.planner import Planner
from chimera.models.work.signature import describe
from chimera.models.work.skill import Skill
from chimera.models.work.task import Task, TaskSpec
from chimera.models.work.timing import PLANNING_LEASE_SECONDS
from chimera.models.work.wave import lay_out
from chimera.ports.clock import Clock
from chimera.ports.plan_store import PlanningJob, PlanStore
from chimera.services.dispatcher import Dispatcher
from chimera.services.execution import describe_exception, readable
from chimera.services.lease_keeper import Lease, LeaseKeeper
from chimera.services.time_limit import TimeIsUp, alarm

log = structlog.get_logger(__name__)

# A planner whose process dies is started at most three times: it may be the planner that kills the process.
MAX_PLANNER_ATTEMPTS = 3
# The lease is kept beyond the time limit by this, to store what was planned.
STORE_SECONDS = 60.0


class PlanRejected(Exception):
    """The planner failed, or yielded what cannot become tasks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = PlanFailure(code=code, message=readable(message))


@dataclass(frozen=True, slots=True, eq=False)
class UnplacedTask:
    """A yielded task, checked, before it has its place in a wave."""

    task_id: UUID
    ordinal: int
    spec: TaskSpec
    skill: Skill[..., Any]
    input: str
    label: str | None
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
            skill=self.spec.skill,
            input=self.input,
            label=self.label,
            priority=priority,
            timeout_seconds=self.spec.timeout_seconds or self.skill.timeout_seconds,
            max_attempts=self.spec.max_attempts or self.skill.max_attempts,
            depends_on=tuple(other.task_id for other in self.before),
            state_key=self.spec.state_key,
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
        *,
        timeout_seconds: float,
        wave_size: int,
        max_tasks: int,
        max_input_bytes: int,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._catalogue = catalogue
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._wave_size = wave_size
        self._max_tasks = max_tasks
        self._max_input_bytes = max_input_bytes

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
                drafts = self._drafts_in_time(job, lease)
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
            drafts = self._drafts_in_time(job, None)
        except PlanRejected as exc:
            raise InvalidInput(f"planner {planner!r}: {exc.failure.code}: {exc.failure.message}") from exc
        return [PlannedTask(draft.spec.skill, draft.spec.max_attempts or draft.skill.max_attempts) for draft in drafts]

    def _drafts_in_time(self, job: PlanningJob, lease: Lease | None) -> list[UnplacedTask]:
        if job.attempt > MAX_PLANNER_ATTEMPTS:
            message = f"the planner was started {MAX_PLANNER_ATTEMPTS} times and never finished: its process was ended"
            raise PlanRejected("planner_lost", message)
        return in_time(lambda: self._drafts(job), self._timeout_seconds, lease)

    def _drafts(self, job: PlanningJob) -> list[UnplacedTask]:
        """The tasks in the planner's order."""
        drafts: list[UnplacedTask] = []
        by_spec: dict[int, UnplacedTask] = {}  # by id() of the spec, which its draft keeps alive
        for spec in self._specs(job):
            ordinal = len(drafts)
            if ordinal >= self._max_tasks:
                raise PlanRejected(
                    "too_many_tasks",
                    f"the planner yielded more than {self._max_tasks} tasks (CHIMERA_MAX_TASKS_PER_PLAN)",
                )
            try:
                before = tuple(by_spec[id(other)] for other in spec.depends_on)
            except KeyError:
                raise PlanRejected(
                    "unknown_dependency", f"task {ordinal} depends on a task that was not yielded before it"
                ) from None
            draft = self._draft(ordinal, spec, before)
            drafts.append(draft)
            by_spec[id(spec)] = draft
        return drafts

    def _specs(self, job: PlanningJob) -> Iterable[TaskSpec]:
        """What the planner yields, with anything it raises turned into the plan's failure."""
        try:
            planner = self._catalogue.planner(job.planner)
            for spec in _checked_tasks(planner, planner.specs(job.goal, job.inputs)):
                yield checked_spec(spec)
        except (PlanRejected, GeneratorExit, TimeIsUp):
            raise
        except UnknownPlanner as exc:
            raise PlanRejected("unknown_planner", str(exc)) from exc
        except InvalidInput as exc:
            raise PlanRejected("invalid_inputs", str(exc)) from exc
        except BaseException as exc:
            what = f"{type(exc).__name__}: {describe(exc)}" if isinstance(exc, ValidationError) else None
            message = f"{what or describe_exception(exc)} ({_line(planner, exc)})"
            raise PlanRejected("planner_raised", message) from exc

    def _draft(self, ordinal: int, spec: TaskSpec, before: tuple[UnplacedTask, ...]) -> UnplacedTask:
        skill, arguments = checked_call(self._catalogue, spec, self._max_input_bytes, f"task {ordinal}")
        try:
            label = None if spec.label is None else canonical_json(spec.label)
        except (TypeError, ValueError) as exc:
            raise PlanRejected("invalid_task", f"task {ordinal} ({spec.skill}): {exc}") from exc
        return UnplacedTask(
            task_id=self._clock.new_id(),
            ordinal=ordinal,
            spec=spec,
            skill=skill,
            input=arguments,
            label=label,
            before=before,
            depth=1 + max(other.depth for other in before) if before else 0,
        )


T = TypeVar("T")


def in_time(call: Callable[[], T], timeout_seconds: float, lease: Lease | None) -> T:
    """What a planner answers within its time, and while its lease is held, if there is one.

    Raises:
        PlanRejected: it takes too long.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()  # in the threads pool nothing can end it
    try:
        with alarm(timeout_seconds) as ring, lease.ending_with(ring) if lease else nullcontext():
            return call()
    except TimeIsUp:
        message = f"the planner ran longer than {timeout_seconds:g} s (CHIMERA_PLANNER_TIMEOUT_SECONDS)"
        raise PlanRejected("planner_timeout", message) from None


def checked_call(catalogue: Catalogue, spec: TaskSpec, max_input_bytes: int, what: str) -> tuple[Skill[..., Any], str]:
    """The skill that a task calls, and the JSON text of its arguments.

    Raises:
        PlanRejected: there is no such skill, or the arguments do not fit it or are too large.
    """
    try:
        skill = catalogue.skill(spec.skill)
        arguments = skill.dump_input(spec.input)
    except UnknownSkill as exc:
        raise PlanRejected("unknown_skill", f"{what}: {exc}") from exc
    except ValidationError as exc:
        raise PlanRejected("invalid_task", f"{what} ({spec.skill}): {describe(exc)}") from exc
    except (TypeError, ValueError) as exc:
        raise PlanRejected("invalid_task", f"{what} ({spec.skill}): {exc}") from exc
    if len(arguments) > max_input_bytes:
        raise PlanRejected(
            "input_too_large",
            f"{what} ({spec.skill}): {len(arguments)} bytes of input, and at most "
            f"{max_input_bytes} are taken (CHIMERA_MAX_INPUTS_BYTES)",
        )
    return skill, arguments


def _checked_tasks(planner: Planner[...], answer: object) -> Iterable[object]:
    """What a planner returned, if it can hold tasks.

    Raises:
        PlanRejected: it cannot; the message says where the planner stands.
    """
    if isinstance(answer, Iterable) and not isinstance(answer, TaskSpec):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    what = "None" if answer is None else f"a {type(answer).__name__}"
    message = f"the planner returned {what}, not tasks: it yields skill.task(...), or returns a list of them"
    code = _code(planner)
    place = f" ({code.co_name}, {code.co_filename.rpartition('/')[2]} line {code.co_firstlineno})" if code else ""
    raise PlanRejected("not_tasks", message + place)


def _line(planner: Planner[...], exc: BaseException) -> str:
    """Where an exception left the planner's own file; where it was raised, if that cannot be told."""
    frames = traceback.extract_tb(exc.__traceback__)
    code = _code(planner)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    where = (own or frames)[-1]
    return f"{where.name}, line {where.lineno}"


def _code(planner: Planner[...]) -> CodeType | None:
    code = getattr(inspect.unwrap(planner.function), "__code__", None)
    return code if isinstance(code, CodeType) else None


def checked_spec(spec: object) -> TaskSpec:
    """What a planner answered, if it is a task.

    Raises:
        PlanRejected: it is none.
    """
    if not isinstance(spec, TaskSpec):
        message = f"the planner yielded a {type(spec).__name__}, not a task: use skill.task(...)"
        raise PlanRejected("not_a_task", message)
    return spec
