"""Skills and planners that belong to one test, and are in no catalogue but the test's own."""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskSpec

P = ParamSpec("P")
R = TypeVar("R")


def as_skill(
    function: Callable[P, R],
    *,
    name: str | None = None,
    max_batch: int = 50,
    timeout_seconds: float = 10.0,
    max_attempts: int = 3,
    **said: Any,
) -> Skill[P, R]:
    return Skill(
        function,
        name=name or function.__name__,
        max_batch=max_batch,
        timeout_seconds=timeout_seconds,
        max_attempts=max_attempts,
        **said,
    )


def as_planner(function: Callable[P, Iterable[TaskSpec]], *, name: str | None = None, **said: Any) -> Planner[P]:
    return Planner(function, name=name or function.__name__, **said)
