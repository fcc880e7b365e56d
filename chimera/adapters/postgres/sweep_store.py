"""What lost messages left undone, in PostgreSQL."""

from typing import Any

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.plan_store import PlanStore
from chimera.errors import PlanAlreadyEnded
from chimera.models.plan import PlanState
from chimera.models.wave import WaveRef
from chimera.ports import sweep_store as port
from chimera.ports.sweep_store import OverdueWave, PlanRef

_SQL = statements("sweep_store")
_SWEEP = "sweep"


class SweepStore(port.SweepStore):
    """In the role `judge`: finds work of all tenants, and speaks for one tenant at a time to change it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plans = PlanStore(database)

    def expire_plans(self) -> list[PlanRef]:  # noqa: D102  see the port
        stopped: list[PlanRef] = []
        for plan in self._refs("expired_plans"):
            try:
                state = self._plans.stop(plan.tenant_id, plan.plan_id, PlanState.EXPIRED, _SWEEP)
            except PlanAlreadyEnded:
                continue  # it ended between the two transactions
            if state is PlanState.STOPPING:
                stopped.append(plan)
        return stopped

    def unplanned(self) -> list[PlanRef]:  # noqa: D102
        plans = self._refs("unplanned")
        for plan in plans:
            self._plans.mark_published(plan.tenant_id, plan.plan_id)
        return plans

    def stopping(self) -> list[PlanRef]:  # noqa: D102
        return self._refs("stopping")

    def overdue_waves(self) -> list[OverdueWave]:  # noqa: D102
        with self._database.transaction() as connection:
            waves = [WaveRef.model_validate(row) for row in connection.execute(_SQL["untouched_waves"])]
        looked_at = (self._look_at(wave) for wave in waves)
        return [wave for wave in looked_at if wave is not None]

    def waiting_tenants(self) -> list[str]:  # noqa: D102
        with self._database.transaction() as connection:
            return [row["tenant_id"] for row in connection.execute(_SQL["waiting_tenants"])]

    def _refs(self, statement: str) -> list[PlanRef]:
        with self._database.transaction() as connection:
            return [PlanRef.model_validate(row) for row in connection.execute(_SQL[statement])]

    def _look_at(self, wave: WaveRef) -> OverdueWave | None:
        scope: dict[str, Any] = {"tenant": wave.tenant_id, "plan": wave.plan_id, "wave_no": wave.wave_no}
        with self._database.transaction(wave.tenant_id) as connection:
            taken = connection.execute(_SQL["take_wave"], scope).fetchone()
            if taken is None:
                return None
            taken_back = connection.execute(_SQL["take_back_leases"], scope).fetchall()
            needs = connection.execute(_SQL["wave_needs"], scope).fetchone()
            assert needs is not None
            publish = not taken["paused"] and (bool(taken_back) or (needs["queued"] > 0 and taken["lost"]))
            connection.execute(_SQL["touch_wave"], scope | {"publish": publish})
        return OverdueWave(wave=wave, judge=needs["judge"] > 0, publish=publish)
