"""The catalogue: which skills and planners a process has."""

from collections.abc import Mapping
from typing import Any

from chimera.errors import InvalidInput, UnknownPlanner, UnknownSkill
from chimera.models.work.planner import Planner
from chimera.models.work.skill import Skill


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
