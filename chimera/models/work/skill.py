"""Skills and planners: a user's functions, with their types read off their signatures."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, update_wrapper
from types import NoneType
from typing import Any, Generic, NotRequired, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from typing_extensions import TypedDict  # pydantic does not take typing's before Python 3.12

from chimera.errors import InvalidInput, UnknownPlanner, UnknownSkill
from chimera.models.record import canonical_json
from chimera.models.work.replan import ReplanHook
from chimera.models.work.result import NO_USAGE, Usage
from chimera.models.work.task import MAX_TIMEOUT_SECONDS, TOO_LONG, TaskSpec

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Success(Generic[T]):
    """What a skill returns when it has more to say than its output.

    `confidence` is the skill's own estimate, 0..1, that the output is right; without one a person decides.
    """

    output: T
    _: KW_ONLY
    confidence: float | None = None
    reasoning: str | None = None
    evidence: Sequence[str] = ()
    # Names of the tools that were used, and of what is going to be done where the result is committed: a policy may
    # allow some and no others.
    tools: Sequence[str] = ()
    effects: Sequence[str] = ()
    usage: Usage = NO_USAGE


class SkillFailed(Exception):
    """Raised by a skill to say why it cannot answer, whether another attempt could, and what this one cost."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "skill_failed",
        retryable: bool = True,
        usage: Usage = NO_USAGE,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.usage = usage
        self.details = details


class Skill(Generic[P, R]):
    """A function that tasks run. Calling it calls the function; `task(...)` makes a task of it.

    Raises:
        InvalidInput: the function's signature cannot become a JSON Schema, or no task can have these limits; the
            message says why.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str,
        max_batch: int,
        timeout_seconds: float,
        max_attempts: int,
        description: str | None = None,
        effects: Sequence[str] = (),
        examples: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if max_batch < 1 or not 0 < timeout_seconds < math.inf or not 1 <= max_attempts <= 100:
            raise InvalidInput(
                f"skill {name!r}: max_batch starts at 1, timeout_seconds above 0, and max_attempts is 1 to 100"
            )
        if timeout_seconds > MAX_TIMEOUT_SECONDS:
            raise InvalidInput(f"skill {name!r}: timeout_seconds is {TOO_LONG}")
        self.function = function
        self.name = name
        # Tasks that one message may carry: 1 for slow skills, hundreds for quick ones.
        self.max_batch = max_batch
        self.timeout_seconds = timeout_seconds
        self.max_attempts = max_attempts
        # What it does, for people: the first paragraph of its docstring where nothing else is said.
        self.description = _description(function, description)
        # What its results may do where they are committed, for people.
        self.effects = tuple(effects)
        self.is_async = inspect.iscoroutinefunction(function)
        signature = inspect.signature(function)
        self._parameters = tuple(signature.parameters)
        self._input = _arguments(f"skill {name!r}", function, signature)
        self._output = _adapter(f"skill {name!r}: its output", _output_type(function))
        # Arguments of calls, as JSON-compatible values.
        self.examples = _examples(f"skill {name!r}", self._input, examples)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function itself."""
        return self.function(*args, **kwargs)

    def task(self, *args: P.args, **kwargs: P.kwargs) -> TaskSpec:
        """A task that calls this skill with these arguments, which are checked when the plan is planned.

        Raises:
            TypeError: there are more positional arguments than parameters, or one is given twice.
        """
        if len(args) > len(self._parameters):
            raise TypeError(f"{self.name}() takes {len(self._parameters)} arguments, and {len(args)} were given")
        arguments = dict(zip(self._parameters, args, strict=False))
        if twice := arguments.keys() & kwargs.keys():
            raise TypeError(f"{self.name}() got several values for {', '.join(sorted(twice))}")
        return TaskSpec(skill=self.name, input=arguments | kwargs)

    def dump_input(self, arguments: Mapping[str, Any]) -> str:
        """The JSON text of a call's arguments.

        Raises:
            pydantic.ValidationError: they do not fit the signature.
        """
        return self._input.dump_json(self._input.validate_python(arguments), by_alias=True, round_trip=True).decode()

    def load_input(self, text: str) -> dict[str, Any]:
        """The keyword arguments in a JSON text that `dump_input` wrote.

        Raises:
            pydantic.ValidationError: the text does not fit the signature.
        """
        return self._input.validate_json(text)

    def dump_output(self, output: object) -> Any:
        """The output as JSON-compatible Python values.

        Raises:
            pydantic.ValidationError: it is not of the annotated type.
        """
        value = self._output.validate_python(output)
        return self._output.dump_python(value, mode="json", by_alias=True, round_trip=True)

    def check_output(self, output: Any) -> None:
        """Checks JSON-compatible values against the output's schema.

        Raises:
            pydantic.ValidationError: they do not fit.
        """
        self._output.validate_json(canonical_json(output))

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return self._input.json_schema()

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the output."""
        return self._output.json_schema()


class Planner(Generic[P]):
    """A function that turns a plan's inputs into tasks. Calling it calls the function.

    A parameter named `goal` receives the plan's goal; the others come from the plan's inputs.

    Raises:
        InvalidInput: the function's signature cannot become a JSON Schema, or it is async or returns None; the message
            says why.
    """

    def __init__(
        self,
        function: Callable[P, Iterable[TaskSpec]],
        *,
        name: str,
        description: str | None = None,
        examples: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidInput(f"planner {name!r} must not be async: what it has to wait for, it waits for")
        if _hints(f"planner {name!r}", function).get("return") is NoneType:
            raise InvalidInput(f"planner {name!r} returns None: it yields skill.task(...), or returns a list of them")
        self.function = function
        self.name = name
        self.description = _description(function, description)
        # What is asked about tasks whose result the gate sends back; None: they are done again as they are.
        self.replan_hook: ReplanHook | None = None
        signature = inspect.signature(function)
        self._wants_goal = "goal" in signature.parameters
        self._inputs = _arguments(f"planner {name!r}", function, signature, without=("goal",))
        # Inputs of plans, as JSON-compatible values.
        self.examples = _examples(f"planner {name!r}", self._inputs, examples)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterable[TaskSpec]:
        """Calls the function itself."""
        return self.function(*args, **kwargs)

    def replan(self, function: ReplanHook) -> ReplanHook:
        """Has this function asked about each task whose result the gate sends back: `@triage.replan` above it.

        It gets a DeniedTask and returns the task to do instead, or None to give it up. What failed, or was lost
        with its agent, is tried again as it is, without it.

        Raises:
            InvalidInput: it cannot be called with one argument, is async, or the planner has another one.
        """
        known = self.replan_hook
        if known is not None and (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise InvalidInput(f"planner {self.name!r} has a replan hook already: {known.__qualname__}")
        if inspect.iscoroutinefunction(function):
            raise InvalidInput(f"planner {self.name!r}: its replan hook {function.__qualname__} must not be async")
        try:
            inspect.signature(function).bind(None)
        except TypeError:
            raise InvalidInput(
                f"planner {self.name!r}: its replan hook {function.__qualname__} takes one argument, the DeniedTask"
            ) from None
        self.replan_hook = function
        return function

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Checks a plan's inputs against the signature.

        Raises:
            InvalidInput: they do not fit; the message names each field.
        """
        try:
            self._inputs.validate_json(canonical_json(inputs))
        except ValidationError as exc:
            raise InvalidInput(f"planner {self.name!r}: inputs do not fit: {describe(exc)}") from exc

    def specs(self, goal: str, inputs: str) -> Iterable[TaskSpec]:
        """Runs the planner on a plan's goal and the JSON text of its inputs.

        Raises:
            InvalidInput: the inputs do not fit the signature.
            Exception: whatever the planner raises.
        """
        try:
            arguments = self._inputs.validate_json(inputs)
        except ValidationError as exc:
            raise InvalidInput(f"planner {self.name!r}: inputs do not fit: {describe(exc)}") from exc
        if self._wants_goal:
            arguments["goal"] = goal
        return self.function(**arguments)  # type: ignore[call-arg]

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the plan's inputs."""
        return self._inputs.json_schema()


class Catalogue:
    """The skills and planners of this process, by name."""

    def __init__(self) -> None:
        self.skills: dict[str, Skill[..., Any]] = {}
        self.planners: dict[str, Planner[...]] = {}

    def skill_names(self) -> tuple[str, ...]:
        """The names of the skills, in order."""
        return tuple(sorted(self.skills))

    def planner_names(self) -> tuple[str, ...]:
        """The names of the planners, in order."""
        return tuple(sorted(self.planners))

    def add_skill(self, skill: Skill[..., Any]) -> None:
        """Adds a skill; the same function again (a reloaded module) replaces it.

        Raises:
            InvalidInput: another function has this name.
        """
        _add(self.skills, skill)

    def add_planner(self, planner: Planner[...]) -> None:
        """Adds a planner, as `add_skill` does a skill.

        Raises:
            InvalidInput: another function has this name.
        """
        _add(self.planners, planner)

    def skill(self, name: str) -> Skill[..., Any]:
        """The skill of this name.

        Raises:
            UnknownSkill: there is none; the message lists those there are.
        """
        try:
            return self.skills[name]
        except KeyError:
            raise UnknownSkill(_unknown("skill", name, self.skills)) from None

    def output_fault(self, name: str, output: Any) -> str | None:
        """Why an output (JSON-compatible) does not fit the schema of the skill of this name; None where it does.

        Raises:
            UnknownSkill: there is none.
        """
        try:
            self.skill(name).check_output(output)
        except ValidationError as exc:
            return describe(exc)
        return None

    def planner(self, name: str) -> Planner[...]:
        """The planner of this name.

        Raises:
            UnknownPlanner: there is none; the message lists those there are.
        """
        try:
            return self.planners[name]
        except KeyError:
            raise UnknownPlanner(_unknown("planner", name, self.planners)) from None

    def max_batch(self, skill: str) -> int:
        """The skill's `max_batch`; 1 for a skill that this process does not know."""
        known = self.skills.get(skill)
        return known.max_batch if known else 1


def describe(exc: ValidationError, limit: int = 5) -> str:
    """What a validation found, field by field, without the values: `rows.16.text: Field required`."""
    faults = exc.errors(include_url=False, include_context=False, include_input=False)
    text = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'value'}: {fault['msg']}" for fault in faults[:limit])
    return text + (f"; and {len(faults) - limit} more" if len(faults) > limit else "")


def _add(known: dict[str, Any], new: Any) -> None:
    old = known.get(new.name)
    if old is not None and (old.__module__, old.__qualname__) != (new.__module__, new.__qualname__):
        raise InvalidInput(
            f"{type(new).__name__.lower()} {new.name!r} is declared twice: "
            f"in {old.__module__}.{old.__qualname__} and {new.__module__}.{new.__qualname__}"
        )
    known[new.name] = new


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    there = ", ".join(sorted(known)) or "none"
    return f"no {what} named {name!r}; registered: {there}. Its module must be in `imports` of celeryconfig.py"


def _arguments(
    owner: str, function: Callable[..., Any], signature: inspect.Signature, without: Sequence[str] = ()
) -> TypeAdapter[dict[str, Any]]:
    """A type with a key for each parameter, which refuses unknown names."""
    hints = _hints(owner, function)
    keys: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise InvalidInput(f"{owner}: parameter {parameter} cannot be given by name in JSON")
        if parameter.name not in hints:
            raise InvalidInput(f"{owner}: parameter {parameter.name!r} has no type annotation")
        if parameter.name not in without:
            hint = hints[parameter.name]
            keys[parameter.name] = hint if parameter.default is parameter.empty else NotRequired[hint]
    make_typed_dict: Any = TypedDict  # mypy knows its literal form only
    arguments = make_typed_dict(function.__name__, keys)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    return _adapter(f"{owner}: its parameters", arguments)


def _description(function: Callable[..., Any], said: str | None) -> str:
    """What is said of a function: else the first paragraph of its docstring, on one line."""
    text = (inspect.getdoc(function) or "").split("\n\n")[0] if said is None else said
    return " ".join(text.split())


def _examples(
    owner: str, arguments: TypeAdapter[dict[str, Any]], examples: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], ...]:
    try:
        return tuple(
            arguments.dump_python(arguments.validate_python(dict(example)), mode="json", by_alias=True, round_trip=True)
            for example in examples
        )
    except (ValidationError, TypeError, ValueError) as exc:
        why = describe(exc) if isinstance(exc, ValidationError) else str(exc)
        raise InvalidInput(f"{owner}: an example does not fit its parameters: {why}") from exc


def _output_type(function: Callable[..., Any]) -> Any:
    """The annotated return type, without the Success around it."""
    hint = _hints(f"skill {function.__name__!r}", function).get("return", Any)
    if hint is Success:
        return Any
    return get_args(hint)[0] if get_origin(hint) is Success else hint


def _adapter(what: str, hint: Any) -> TypeAdapter[Any]:
    try:
        adapter = _adapter_of(hint)
        adapter.json_schema()  # some types validate and have no schema: said now, not when somebody asks for it
    except PydanticUserError as exc:
        raise InvalidInput(f"{what} cannot become a JSON Schema: {exc.message}") from exc
    return adapter


def _adapter_of(hint: Any) -> TypeAdapter[Any]:
    try:
        # NaN stays NaN, and is refused as no JSON, instead of becoming null.
        return TypeAdapter(hint, config=ConfigDict(ser_json_inf_nan="constants"))
    except PydanticUserError as exc:
        if exc.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)  # models and the like have a configuration of their own


def _hints(owner: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as exc:
        raise InvalidInput(f"{owner}: an annotation names something unknown: {exc}") from exc
