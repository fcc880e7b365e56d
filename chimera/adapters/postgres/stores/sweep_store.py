"""What lost messages left undone, in PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps import reservations
from chimera.adapters.postgres.steps.plan_rows import mark_plan_published, resume_plans, stop_plan
from chimera.adapters.postgres.steps.refusals import record_rest, tenants_with_rest
from chimera.adapters.postgres.steps.reservations import settle
from chimera.adapters.postgres.steps.wave_rows import scope_of
from chimera.errors import PlanAlreadyEnded
from chimera.failpoints import Failpoint, failpoint
from chimera.models.budget.budget import ACTOR
from chimera.models.work.bound import BoundTenant
from chimera.models.work.lease import LostLease
from chimera.models.work.plan import PlanState
from chimera.models.work.timing import (
    LEASE_GRACE_SECONDS,
    LEASE_SECONDS,
    LOOK_AGAIN_SECONDS,
    LOOK_FOR_SKILL_SECONDS,
    LOST_SECONDS,
    PLANNER_MESSAGE_SECONDS,
    QUIET_SECONDS,
    RESEND_DOUBLINGS,
    RESEND_SECONDS,
    UNTOUCHED_SECONDS,
)
from chimera.models.work.wave import WaveRef
from chimera.ports import sweep_store as port
from chimera.ports.sweep_store import OverdueWave, PlanRef

_SQL = statements("sweep_store")
_SWEEP = "sweep"

_TIMES = {
    "lease_seconds": LEASE_SECONDS,
    "quiet_seconds": QUIET_SECONDS,
    "lease_grace_seconds": LEASE_GRACE_SECONDS,
    "untouched_seconds": UNTOUCHED_SECONDS,
    "planner_message_seconds": PLANNER_MESSAGE_SECONDS,
    "lost_seconds": LOST_SECONDS,
    "resend_seconds": RESEND_SECONDS,
    "resend_doublings": RESEND_DOUBLINGS,
}


class SweepStore(port.SweepStore):
    """In the role `judge`: finds work of all tenants, and speaks for one tenant at a time to change it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expire_plans(self) -> list[PlanRef]:  # noqa: D102  see the port
        stopped: list[PlanRef] = []
        for plan in self._refs("expired_plans"):
            try:
                state = stop_plan(self._database, plan.tenant_id, plan.plan_id, PlanState.EXPIRED, _SWEEP)
            except PlanAlreadyEnded:
                continue  # it ended between the two transactions
            if state is PlanState.STOPPING:
                stopped.append(plan)
        return stopped

    def bound_tenants(self) -> list[BoundTenant]:  # noqa: D102
        with self._database.transaction() as connection:
            return [BoundTenant.model_validate(row) for row in connection.execute(_SQL["bound_tenants"])]

    def forget(self, epoch: str) -> int:  # noqa: D102
        with self._database.transaction() as connection:
            tenants = [
                row["tenant_id"] for row in connection.execute(_SQL["tenants_of_other_epochs"], {"epoch": epoch})
            ]
        forgotten = 0
        for tenant_id in tenants:
            values = {"tenant": tenant_id, "epoch": epoch}
            with self._database.transaction(tenant_id) as connection:
                plans = connection.execute(_SQL["forget_plans"], values)
                waves = connection.execute(_SQL["forget_waves"], values)
                forgotten += len(plans.fetchall()) + len(waves.fetchall())
        return forgotten

    def unplanned(self) -> list[PlanRef]:  # noqa: D102
        return self._refs("unplanned")

    def unreplanned(self) -> list[WaveRef]:  # noqa: D102
        with self._database.transaction() as connection:
            waves = [WaveRef.model_validate(row) for row in connection.execute(_SQL["unreplanned"])]
        return [wave for wave in waves if self._waits_for_planner(wave)]

    def _waits_for_planner(self, wave: WaveRef) -> bool:
        scope = scope_of(wave)
        with self._database.transaction(wave.tenant_id) as connection:
            if connection.execute(_SQL["take_unreplanned"], scope).fetchone() is None:
                return False
            # Asked with the wave locked: what the Judge sends back meanwhile comes after it.
            needs = connection.execute(_SQL["replan_needs"], scope).fetchone()
            assert needs is not None
            # Where all that waits is under way, it is looked at soon again.
            seconds = RESEND_SECONDS if needs["free"] else PLANNER_MESSAGE_SECONDS
            connection.execute(_SQL["look_for_replans"], scope | {"seconds": seconds if needs["asked"] else None})
        return bool(needs["free"])

    def mark_published(self, plan: PlanRef, epoch: str) -> None:  # noqa: D102
        with self._database.transaction(plan.tenant_id) as connection:
            mark_plan_published(connection, plan.tenant_id, plan.plan_id, epoch)

    def stopping(self) -> list[PlanRef]:  # noqa: D102
        return self._refs("stopping")

    def untouched_waves(self) -> list[WaveRef]:  # noqa: D102
        with self._database.transaction() as connection:
            return [WaveRef.model_validate(row) for row in connection.execute(_SQL["untouched_waves"], _TIMES)]

    def agents(self, tenant_id: str, waves: Sequence[WaveRef]) -> set[UUID]:  # noqa: D102
        arrays = columns([(wave.plan_id, wave.wave_no) for wave in waves], "plans wave_nos")
        with self._database.transaction(tenant_id) as connection:
            return {row["agent_id"] for row in connection.execute(_SQL["agents"], {"tenant": tenant_id} | arrays)}

    def keep_audit(self) -> None:  # noqa: D102
        with self._database.transaction() as connection:
            connection.execute(_SQL["make_audit_partitions"])
            tenants = tenants_with_rest(connection)
        for tenant_id in tenants:
            with self._database.transaction(tenant_id) as connection:
                record_rest(connection, tenant_id)

    def waiting_tenants(self) -> list[str]:  # noqa: D102
        with self._database.transaction() as connection:
            return [row["tenant_id"] for row in connection.execute(_SQL["waiting_tenants"])]

    def resume_in_budget(self) -> list[PlanRef]:  # noqa: D102
        with self._database.transaction() as connection:
            tenants = reservations.tenants_paused(connection)
        resumed: list[PlanRef] = []
        for tenant_id in tenants:
            with self._database.transaction(tenant_id) as connection:
                plans = reservations.plans_in_budget(connection, tenant_id)
                changes = resume_plans(connection, tenant_id, plans, ACTOR)
            resumed += [PlanRef(tenant_id=tenant_id, plan_id=change.plan_id) for change in changes]
        return resumed

    def _refs(self, statement: str) -> list[PlanRef]:
        with self._database.transaction() as connection:
            return [PlanRef.model_validate(row) for row in connection.execute(_SQL[statement], _TIMES)]

    def look_at(  # noqa: D102
        self,
        wave: WaveRef,
        gone: Collection[UUID],
        silent: Collection[UUID],
        *,
        queue_is_empty: bool,
        skills: Collection[str] | None = None,
    ) -> OverdueWave | None:
        scope = scope_of(wave) | _TIMES
        with self._database.transaction(wave.tenant_id) as connection:
            taken = connection.execute(_SQL["take_wave"], scope | {"queue_is_empty": queue_is_empty}).fetchone()
            if taken is None:
                return None
            failpoint(Failpoint.SWEEP_WAVE_TAKEN, wave.tenant_id)
            if gone or silent:
                values: dict[str, Any] = {"gone": list(gone), "silent": list(silent)}
                connection.execute(_SQL["end_leases_of"], scope | values)
            rows = connection.execute(_SQL["take_back_leases"], scope)
            taken_back = tuple(LostLease.model_validate(row) for row in rows)
            failpoint(Failpoint.SWEEP_LEASES_TAKEN_BACK, wave.tenant_id)
            over = [lost.task_id for lost in taken_back]
            events = settle(connection, wave.plan_id, over)
            assert not events  # what counts as spent is what was set aside
            known = {
                "waits": taken["budget_waits"],
                "skills": None if skills is None else list(skills),
            }
            needs = connection.execute(_SQL["wave_needs"], scope | known).fetchone()
            assert needs is not None
            can_run = needs["queued"] > needs["lacking"]
            publish = not taken["paused"] and can_run and (bool(taken_back) or taken["lost"] or taken["skill_waits"])
            waits_only = needs["lacking"] > 0 and not (can_run or needs["judge"] or needs["running"])
            values = {
                "publish": publish,
                "again_seconds": LOOK_FOR_SKILL_SECONDS if waits_only else LOOK_AGAIN_SECONDS,
                "lacking": bool(needs["lacking"]),
                "queued": bool(needs["queued"]),
            }
            connection.execute(_SQL["touch_wave"], scope | values)
        return OverdueWave(wave=wave, judge=needs["judge"] > 0, taken_back=taken_back, trace_id=taken["trace_id"])
