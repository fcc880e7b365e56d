"""A declaration: what a worker says of a skill or a planner that it has, for processes without the project's code."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from chimera.models.record import Instant, Record, Text, canonical_json, sha256
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill, fingerprint_of


class SkillDeclaration(Record):
    """A skill."""

    name: Text
    description: str
    # JSON Schemas of a call's arguments and of its output.
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    timeout_seconds: float
    max_batch: int = Field(ge=1)
    max_attempts: int = Field(ge=1)
    # What its results may do where they are committed.
    effects: tuple[str, ...] = ()
    # Arguments of calls.
    examples: tuple[dict[str, Any], ...] = ()
    # The Python module that declares it.
    module: str

    @property
    def fingerprint(self) -> bytes:
        """Of both schemas, 32 bytes: what tells apart two versions of a skill."""
        return fingerprint_of(self.input_schema, self.output_schema)


class PlannerDeclaration(Record):
    """A planner."""

    name: Text
    description: str
    # JSON Schema of a plan's inputs.
    input_schema: dict[str, Any]
    # Inputs of plans.
    examples: tuple[dict[str, Any], ...] = ()
    # Whether it is asked about results that the gate sends back.
    has_replan: bool
    module: str

    @property
    def fingerprint(self) -> bytes:
        """Of the schema, 32 bytes."""
        return sha256(canonical_json(self.input_schema))


class StoredSkill(SkillDeclaration):
    """A skill as it is stored, with when a worker that has it started first and last."""

    first_seen: Instant
    last_seen: Instant


class StoredPlanner(PlannerDeclaration):
    """A planner as it is stored, with when a worker that has it started first and last."""

    first_seen: Instant
    last_seen: Instant


def skill_declarations(skills: Iterable[Skill[..., Any]]) -> list[SkillDeclaration]:
    """What is to be said of these skills, by name."""
    return [
        SkillDeclaration(
            name=skill.name,
            description=skill.description,
            input_schema=skill.input_schema,
            output_schema=skill.output_schema,
            timeout_seconds=skill.timeout_seconds,
            max_batch=skill.max_batch,
            max_attempts=skill.max_attempts,
            effects=skill.effects,
            examples=skill.examples,
            module=skill.function.__module__,
        )
        for skill in sorted(skills, key=lambda skill: skill.name)
    ]


def planner_declarations(planners: Iterable[Planner[...]]) -> list[PlannerDeclaration]:
    """What is to be said of these planners, by name."""
    return [
        PlannerDeclaration(
            name=planner.name,
            description=planner.description,
            input_schema=planner.input_schema,
            examples=planner.examples,
            has_replan=planner.replan_hook is not None,
            module=planner.function.__module__,
        )
        for planner in sorted(planners, key=lambda planner: planner.name)
    ]
