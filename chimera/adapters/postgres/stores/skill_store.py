"""What skills and planners there are, in PostgreSQL."""

from collections.abc import Collection, Sequence

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.models.record import canonical_json
from chimera.models.work.declaration import PlannerDeclaration, SkillDeclaration, StoredPlanner, StoredSkill
from chimera.models.work.json_schema import MAX_BYTES
from chimera.ports import skill_store as port

_SQL = statements("skill_store")
_SKILL = "names fingerprints descriptions inputs outputs timeouts batches attempts effects examples modules"
_PLANNER = "names fingerprints descriptions inputs examples replans modules"


class SkillStore(port.SkillStore):
    """In the role `worker` to declare, in the roles `app` and `judge` to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def declare(  # noqa: D102  see the port
        self, skills: Sequence[SkillDeclaration], planners: Sequence[PlannerDeclaration]
    ) -> None:
        with self._database.transaction() as connection:
            connection.execute(_SQL["declare_skills"], columns([_skill_row(each) for each in skills], _SKILL))
            connection.execute(_SQL["declare_planners"], columns([_planner_row(each) for each in planners], _PLANNER))

    def skills(self, name: str | None = None) -> list[StoredSkill]:  # noqa: D102
        with self._database.transaction() as connection:
            rows = connection.execute(_SQL["skills"], {"name": name}).fetchall()
        return [StoredSkill.model_validate(row, strict=False) for row in rows]

    def planners(self, name: str | None = None) -> list[StoredPlanner]:  # noqa: D102
        with self._database.transaction() as connection:
            rows = connection.execute(_SQL["planners"], {"name": name}).fetchall()
        return [StoredPlanner.model_validate(row, strict=False) for row in rows]

    def output_schemas(self, fingerprints: Collection[bytes]) -> dict[bytes, str | None]:  # noqa: D102
        values = {"fingerprints": list(fingerprints), "max_bytes": MAX_BYTES}
        with self._database.transaction() as connection:
            rows = connection.execute(_SQL["output_schemas"], values).fetchall()
        return {bytes(row["fingerprint"]): row["output_schema"] for row in rows}


def _skill_row(skill: SkillDeclaration) -> tuple[object, ...]:
    return (
        skill.name,
        skill.fingerprint,
        skill.description,
        canonical_json(skill.input_schema),
        canonical_json(skill.output_schema),
        skill.timeout_seconds,
        skill.max_batch,
        skill.max_attempts,
        canonical_json(skill.effects),
        canonical_json(skill.examples),
        skill.module,
    )


def _planner_row(planner: PlannerDeclaration) -> tuple[object, ...]:
    return (
        planner.name,
        planner.fingerprint,
        planner.description,
        canonical_json(planner.input_schema),
        canonical_json(planner.examples),
        planner.has_replan,
        planner.module,
    )
