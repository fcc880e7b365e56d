"""Skills: a user's functions that tasks run, with their types read off their signatures."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, get_args, get_origin

from chimera.errors import InvalidInput
from chimera.models.record import canonical_json, sha256
from chimera.models.work.json_schema import JsonSchema
from chimera.models.work.result import NO_USAGE, Usage
from chimera.models.work.signature import arguments_of, checked_examples, description_of, hints_of, json_adapter
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
        self.description = description_of(function, description)
        # What its results may do where they are committed, for people.
        self.effects = tuple(effects)
        self.is_async = inspect.iscoroutinefunction(function)
        signature = inspect.signature(function)
        self._parameters = tuple(signature.parameters)
        self._input = arguments_of(f"skill {name!r}", function, signature)
        self._output = json_adapter(f"skill {name!r}: its output", _output_type(function))
        # Arguments of calls, as JSON-compatible values.
        self.examples = checked_examples(f"skill {name!r}", self._input, examples)
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

    def output_fault(self, output: Any, size: int) -> str | None:
        """Where an output (JSON-compatible, `size` bytes) does not fit its schema, as the Judge finds it; or None."""
        return self._checked_output.fault(output, size)

    @cached_property
    def fingerprint(self) -> bytes:
        """Of both schemas, 32 bytes: what tells apart two versions of a skill."""
        return fingerprint_of(self.input_schema, self.output_schema)

    @cached_property
    def _checked_output(self) -> JsonSchema:
        return JsonSchema(self.output_schema)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return self._input.json_schema()

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the output."""
        return self._output.json_schema()


def fingerprint_of(input_schema: Mapping[str, Any], output_schema: Mapping[str, Any]) -> bytes:
    """SHA-256 of both JSON Schemas, 32 bytes; the database computes the same."""
    return sha256(f"{canonical_json(input_schema)}\n{canonical_json(output_schema)}")


def _output_type(function: Callable[..., Any]) -> Any:
    """The annotated return type, without the Success around it."""
    hint = hints_of(f"skill {function.__name__!r}", function).get("return", Any)
    if hint is Success:
        return Any
    return get_args(hint)[0] if get_origin(hint) is Success else hint
