"""What skills and planners there are, in memory."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from chimera.models.record import canonical_json
from chimera.models.work.declaration import PlannerDeclaration, SkillDeclaration, StoredPlanner, StoredSkill
from chimera.ports import skill_store as port
from tests.fakes.database import FakeDatabase

S = TypeVar("S", StoredSkill, StoredPlanner)


class FakeSkillStore(port.SkillStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def declare(self, skills: Sequence[SkillDeclaration], planners: Sequence[PlannerDeclaration]) -> None:
        database = self._database.opened()
        for skill in skills:
            key = (skill.name, skill.fingerprint)
            seen = _seen(database.skills.get(key), database.now())
            database.skills[key] = StoredSkill(**dict(skill), **seen)
        for planner in planners:
            key = (planner.name, planner.fingerprint)
            seen = _seen(database.planners.get(key), database.now())
            database.planners[key] = StoredPlanner(**dict(planner), **seen)

    def skills(self, name: str | None = None) -> list[StoredSkill]:
        return _in_order(self._database.opened().skills.values(), name)

    def planners(self, name: str | None = None) -> list[StoredPlanner]:
        return _in_order(self._database.opened().planners.values(), name)

    def output_schemas(self, fingerprints: Collection[bytes]) -> dict[bytes, str | None]:
        known = self._database.opened().skills
        return {
            fingerprint: canonical_json(skill.output_schema)
            for (_, fingerprint), skill in known.items()
            if fingerprint in fingerprints
        }


def _seen(known: StoredSkill | StoredPlanner | None, now: datetime) -> dict[str, Any]:
    return {"first_seen": known.first_seen if known else now, "last_seen": now}


def _in_order(stored: Iterable[S], name: str | None) -> list[S]:
    latest_first = sorted(stored, key=lambda each: each.last_seen, reverse=True)
    return sorted((each for each in latest_first if name in {None, each.name}), key=lambda each: each.name)
