"""Skills and planners that a process knows by what was said of them: their code is in other processes."""

from collections.abc import Mapping
from typing import Any

from chimera.models.work.declaration import PlannerDeclaration, SkillDeclaration
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill


class HostedDeclaration(SkillDeclaration):
    """A skill, with what a worker needs to run it that has not its code."""

    is_async: bool


class HostedSkill(Skill[..., Any]):
    """A skill whose function is not here: calling it is an error."""

    def __init__(self, said: HostedDeclaration) -> None:
        self.function = _elsewhere(said.module)
        self.name = self.__qualname__ = said.name
        self.max_batch = said.max_batch
        self.timeout_seconds = said.timeout_seconds
        self.max_attempts = said.max_attempts
        self.description = said.description
        self.effects = said.effects
        self.examples = said.examples
        self.is_async = said.is_async
        # In the place of what a skill computes of its types.
        self.__dict__.update(input_schema=said.input_schema, output_schema=said.output_schema)


class HostedPlanner(Planner[...]):
    """A planner whose function is not here."""

    def __init__(self, said: PlannerDeclaration) -> None:
        self.function = _elsewhere(said.module)
        self.name = self.__qualname__ = said.name
        self.description = said.description
        self.examples = said.examples
        self.replan_hook = _elsewhere(said.module) if said.has_replan else None
        self.__dict__.update(input_schema=said.input_schema)

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Nothing: the planner's own types are where its code is, and refuse what does not fit them there."""


def _elsewhere(module: str) -> Any:
    def elsewhere(*_: object, **__: object) -> Any:
        raise RuntimeError("its code is in another process")

    elsewhere.__module__ = module
    return elsewhere
