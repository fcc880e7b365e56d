"""Running planners and their hooks in this very process."""

import inspect
import threading
import traceback
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, TypeVar

from pydantic import ValidationError

from chimera.errors import InvalidInput, UnknownPlanner, UnknownSkill
from chimera.models.record import canonical_json
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.draft import Draft
from chimera.models.work.planner import Planner
from chimera.models.work.replan import DeniedTask, ReplanHook
from chimera.models.work.signature import describe
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskSpec
from chimera.ports import planner_runner
from chimera.ports.plan_store import PlanningJob
from chimera.ports.planner_runner import PlanRejected
from chimera.ports.replan_store import ReplanJob, Replanned
from chimera.ports.skill_runner import EndingWith
from chimera.services.execution import describe_exception
from chimera.services.time_limit import TimeIsUp, alarm


class PlannerRunner(planner_runner.PlannerRunner):
    """Runs the planners of this process's catalogue."""

    def __init__(self, catalogue: Catalogue, *, timeout_seconds: float, max_tasks: int, max_input_bytes: int) -> None:
        self._catalogue = catalogue
        self._timeout_seconds = timeout_seconds
        self._max_tasks = max_tasks
        self._max_input_bytes = max_input_bytes

    def drafts(self, _tenant_id: str, job: PlanningJob, ending_with: EndingWith) -> list[Draft]:
        """Runs the planner in this thread."""
        return _in_time(lambda: self._drafts(job), self._timeout_seconds, ending_with)

    def replanned(self, _tenant_id: str, job: ReplanJob, ending_with: EndingWith) -> Replanned | None:
        """Runs the hook in this thread."""
        hook = self._catalogue.planner(job.planner).replan_hook or _as_it_is
        answer = _in_time(lambda: _answer(hook, job.denied), self._timeout_seconds, ending_with)
        return None if answer is None else self._checked(job, _checked_spec(answer))

    def _drafts(self, job: PlanningJob) -> list[Draft]:
        """The tasks in the planner's order."""
        drafts: list[Draft] = []
        # By id() of the spec, which is kept alive.
        places: dict[int, tuple[int, TaskSpec]] = {}
        for spec in self._specs(job):
            ordinal = len(drafts)
            if ordinal >= self._max_tasks:
                raise PlanRejected(
                    "too_many_tasks",
                    f"the planner yielded more than {self._max_tasks} tasks (CHIMERA_MAX_TASKS_PER_PLAN)",
                )
            try:
                before = tuple(places[id(other)][0] for other in spec.depends_on)
            except KeyError:
                raise PlanRejected(
                    "unknown_dependency", f"task {ordinal} depends on a task that was not yielded before it"
                ) from None
            drafts.append(self._draft(ordinal, spec, before))
            places[id(spec)] = ordinal, spec
        return drafts

    def _specs(self, job: PlanningJob) -> Iterable[TaskSpec]:
        """What the planner yields, with anything it raises turned into the plan's failure."""
        try:
            planner = self._catalogue.planner(job.planner)
            for spec in _checked_tasks(planner, planner.specs(job.goal, job.inputs)):
                yield _checked_spec(spec)
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

    def _draft(self, ordinal: int, spec: TaskSpec, before: tuple[int, ...]) -> Draft:
        skill, arguments = _checked_call(self._catalogue, spec, self._max_input_bytes, f"task {ordinal}")
        try:
            label = None if spec.label is None else canonical_json(spec.label)
        except (TypeError, ValueError) as exc:
            raise PlanRejected("invalid_task", f"task {ordinal} ({spec.skill}): {exc}") from exc
        return Draft(
            skill=spec.skill,
            input=arguments,
            label=label,
            timeout_seconds=spec.timeout_seconds or skill.timeout_seconds,
            max_attempts=spec.max_attempts or skill.max_attempts,
            state_key=spec.state_key,
            before=before,
        )

    def _checked(self, job: ReplanJob, spec: TaskSpec) -> Replanned:
        """The task that the hook answered, as it is stored."""
        denied = job.denied
        kept = {"state_key": job.state_key, "max_attempts": denied.max_attempts}
        changed = [name for name, value in kept.items() if getattr(spec, name) not in {None, value}]
        changed += ["depends_on"] if spec.depends_on else []
        if changed:
            what = " and ".join(changed)
            message = f"the task keeps its {what}: a replan hook changes skill, input and timeout_seconds"
            raise PlanRejected("not_replannable", message)
        skill, arguments = _checked_call(self._catalogue, spec, self._max_input_bytes, "the replanned task")
        known = job.timeout_seconds if spec.skill == denied.skill else skill.timeout_seconds
        return Replanned(skill=spec.skill, input=arguments, timeout_seconds=spec.timeout_seconds or known)


T = TypeVar("T")


def _in_time(call: Callable[[], T], timeout_seconds: float, ending_with: EndingWith) -> T:
    """What a planner answers within its time, and while nobody ends it.

    Raises:
        PlanRejected: it takes too long.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()  # in the threads pool nothing can end it
    try:
        with alarm(timeout_seconds) as ring, ending_with(ring):
            return call()
    except TimeIsUp:
        message = f"the planner ran longer than {timeout_seconds:g} s (CHIMERA_PLANNER_TIMEOUT_SECONDS)"
        raise PlanRejected("planner_timeout", message) from None


def _checked_call(catalogue: Catalogue, spec: TaskSpec, max_input_bytes: int, what: str) -> tuple[Skill[..., Any], str]:
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
        raise PlanRejected("invalid_task", f"{what} ({spec.skill}): {describe(exc)}") from None
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


def _checked_spec(spec: object) -> TaskSpec:
    """What a planner answered, if it is a task.

    Raises:
        PlanRejected: it is none.
    """
    if not isinstance(spec, TaskSpec):
        message = f"the planner yielded a {type(spec).__name__}, not a task: use skill.task(...)"
        raise PlanRejected("not_a_task", message)
    return spec


def _as_it_is(denied: DeniedTask) -> TaskSpec:
    """What is done where the planner of this process has no hook any more."""
    return denied.task()


def _answer(hook: ReplanHook, denied: DeniedTask) -> object:
    """What the hook answers, with anything it raises turned into the failure that says where."""
    try:
        return hook(denied)
    except TimeIsUp:
        raise
    except BaseException as exc:
        # Without its message: that may quote what the task handles, and reasons are on the record.
        where = traceback.extract_tb(exc.__traceback__)[-1]
        raise PlanRejected("hook_raised", f"{type(exc).__name__} ({where.name}, line {where.lineno})") from exc
