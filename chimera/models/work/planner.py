"""Planners: a user's functions that turn a plan's inputs into tasks."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, update_wrapper
from types import NoneType
from typing import Any, Generic, ParamSpec

from pydantic import ValidationError

from chimera.errors import InvalidInput
from chimera.models.record import canonical_json
from chimera.models.work.replan import ReplanHook
from chimera.models.work.signature import arguments_of, checked_examples, describe, description_of, hints_of
from chimera.models.work.task import TaskSpec

P = ParamSpec("P")


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
            raise InvalidInput(
                f"planner {name!r} must not be async: declare it with `def`, and call what is async by asyncio.run"
            )
        if hints_of(f"planner {name!r}", function).get("return") is NoneType:
            raise InvalidInput(f"planner {name!r} returns None: it yields skill.task(...), or returns a list of them")
        self.function = function
        self.name = name
        self.description = description_of(function, description)
        # What is asked about tasks whose result the gate sends back; None: they are done again as they are.
        self.replan_hook: ReplanHook | None = None
        signature = inspect.signature(function)
        self._wants_goal = "goal" in signature.parameters
        self._inputs = arguments_of(f"planner {name!r}", function, signature, without=("goal",))
        # Inputs of plans, as JSON-compatible values.
        self.examples = checked_examples(f"planner {name!r}", self._inputs, examples)
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
            raise InvalidInput(f"planner {self.name!r}: inputs do not fit: {describe(exc)}") from None

    def specs(self, goal: str, inputs: str) -> Iterable[TaskSpec]:
        """Runs the planner on a plan's goal and the JSON text of its inputs.

        Raises:
            InvalidInput: the inputs do not fit the signature.
            Exception: whatever the planner raises.
        """
        try:
            arguments = self._inputs.validate_json(inputs)
        except ValidationError as exc:
            raise InvalidInput(f"planner {self.name!r}: inputs do not fit: {describe(exc)}") from None
        if self._wants_goal:
            arguments["goal"] = goal
        return self.function(**arguments)  # type: ignore[call-arg]

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the plan's inputs."""
        return self._inputs.json_schema()
