"""The decorators that make a function a skill or a planner."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, overload

from chimera.models.work.catalogue import Catalogue
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskSpec

P = ParamSpec("P")
R = TypeVar("R")

# Filled when the modules that `imports` of celeryconfig.py names are imported, as Celery's shared tasks are.
CATALOGUE = Catalogue()


@overload
def skill(function: Callable[P, R], /) -> Skill[P, R]: ...
@overload
def skill(
    *,
    name: str | None = None,
    max_batch: int = 50,
    timeout_seconds: float = 60.0,
    max_attempts: int = 3,
    description: str | None = None,
    effects: Sequence[str] = (),
    examples: Sequence[Mapping[str, Any]] = (),
) -> Callable[[Callable[P, R]], Skill[P, R]]: ...
def skill(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    max_batch: int = 50,
    timeout_seconds: float = 60.0,
    max_attempts: int = 3,
    description: str | None = None,
    effects: Sequence[str] = (),
    examples: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Makes a function a skill: something that tasks run. It stays callable as the function it is.

    Every parameter needs a type; types and the return type become JSON Schema. A skill returns its output,
    or `Success(output, confidence=...)`; without a confidence a person decides. It may be `async def`.

    Args:
        function: the function, where the decorator is used without arguments.
        name: what tasks call it; the function's name where it is not given.
        max_batch: tasks that one message may carry: 1 for calls of seconds, hundreds for calls of milliseconds.
        timeout_seconds: how long one call may take; at most 3540, which is 59 minutes.
        max_attempts: attempts at a task before it is given up, where a failure may be tried again.
        description: what it does, as `chimera skill show` says it; the docstring's first paragraph where not given.
        effects: what its results may do where they are committed, for people to read.
        examples: arguments of calls, each by name; they must fit the signature.

    Raises:
        InvalidInput: the signature cannot become a JSON Schema, an example does not fit it, another skill has the name,
            or no task can have these limits.
    """

    def register(function: Callable[..., Any]) -> Skill[..., Any]:
        new = Skill(
            function,
            name=name or function.__name__,
            max_batch=max_batch,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
            description=description,
            effects=effects,
            examples=examples,
        )
        CATALOGUE.add_skill(new)
        return new

    return register if function is None else register(function)


@overload
def planner(function: Callable[P, Iterable[TaskSpec]], /) -> Planner[P]: ...
@overload
def planner(
    *, name: str | None = None, description: str | None = None, examples: Sequence[Mapping[str, Any]] = ()
) -> Callable[[Callable[P, Iterable[TaskSpec]]], Planner[P]]: ...
def planner(
    function: Callable[..., Iterable[TaskSpec]] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Makes a function a planner: it turns a plan's inputs into tasks, by yielding `some_skill.task(...)`.

    Every parameter needs a type: the plan's inputs are checked against them when the plan is submitted. A
    parameter named `goal` receives the plan's goal.

    Args:
        function: the function, where the decorator is used without arguments.
        name: what plans call it; the function's name where it is not given.
        description: what it does, as `chimera planner show` says it; the docstring's first paragraph where not given.
        examples: inputs of plans, each by name; they must fit the signature.

    Raises:
        InvalidInput: the signature cannot become a JSON Schema, an example does not fit it, it is async or returns
            None, or another planner has the name.
    """

    def register(function: Callable[..., Iterable[TaskSpec]]) -> Planner[...]:
        new = Planner(function, name=name or function.__name__, description=description, examples=examples)
        CATALOGUE.add_planner(new)
        return new

    return register if function is None else register(function)
