"""What waits for a process that has a skill, in PostgreSQL."""

from uuid import UUID

from chimera.adapters.postgres.database import Database, statements
from chimera.ports import skill_waits as port
from chimera.ports.skill_waits import SkillWait

_SQL = statements("skill_waits")


class SkillWaits(port.SkillWaits):
    """In the role `app` for one tenant, in the role `judge` for all."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_plan(self, tenant_id: str, plan_id: UUID) -> list[SkillWait]:  # noqa: D102  see the port
        return self._waits(tenant_id, plan_id)

    def of_all(self) -> list[SkillWait]:  # noqa: D102
        with self._database.transaction() as connection:
            tenants = [row["tenant_id"] for row in connection.execute(_SQL["tenants"])]
        return [wait for tenant_id in tenants for wait in self._waits(tenant_id, None)]

    def _waits(self, tenant_id: str, plan_id: UUID | None) -> list[SkillWait]:
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["waits"], {"tenant": tenant_id, "plan": plan_id}).fetchall()
        return [SkillWait.model_validate(row, strict=False) for row in rows]
