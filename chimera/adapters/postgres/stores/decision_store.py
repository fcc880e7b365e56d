"""Decisions and what they change, in PostgreSQL: one transaction, all or nothing."""

from collections.abc import Sequence
from uuid import UUID

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.deciding import DecidingTransaction, PlanStopped
from chimera.adapters.postgres.steps.policy_in_force import in_force
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.steps.staged import staged as staged_result
from chimera.adapters.postgres.steps.wave_rows import lock_plan, scope_of
from chimera.failpoints import Failpoint, failpoint
from chimera.models.gate.deciding import NOTHING_DECIDED, Decided, WaveDecision
from chimera.models.work.lease import LostLease
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.timing import LEASE_GRACE_SECONDS
from chimera.models.work.wave import WaveRef
from chimera.ports import decision_store as port
from chimera.ports.decision_store import GivenUpTask, OpenWave, RefusedTask

_SQL = statements("decision_store")


class DecisionStore(port.DecisionStore):
    """In the role `judge`. Locks the wave first, the audit's head last."""

    def __init__(self, database: Database, sealing: Sealing | None = None) -> None:
        self._database = database
        # None where no checkpoints are made.
        self._sealing = sealing

    def open_wave(self, wave: WaveRef, most_bytes: int | None = None) -> OpenWave:  # noqa: D102  see the port
        with self._database.transaction(wave.tenant_id) as connection:
            waiting = connection.execute(_SQL["staged"], scope_of(wave) | {"most_bytes": most_bytes})
            ended = connection.execute(
                _SQL["without_result"], scope_of(wave) | {"lease_grace_seconds": LEASE_GRACE_SECONDS}
            )
            plan = connection.execute(_SQL["plan"], scope_of(wave)).fetchone()
            has_replan = plan is not None and plan["has_replan"]
            given_up = connection.execute(_SQL["given_up"], scope_of(wave)) if has_replan else ()
            without_result = ended.fetchall()
            staged = waiting.fetchall()
            read = sum(row.pop("bytes") for row in staged)
            waiting_bytes = max([row.pop("all_bytes") for row in staged], default=0)
            return OpenWave(
                staged=tuple(staged_result(row) for row in staged),
                bytes=waiting_bytes,
                is_left=read < waiting_bytes,
                lost=tuple(
                    LostLease(task_id=row["task_id"], attempt=row["attempt"], agent_id=row["agent_id"])
                    for row in without_result
                    if row["limit"] is None
                ),
                refused=tuple(RefusedTask.model_validate(row) for row in without_result if row["limit"] is not None),
                policy=in_force(connection, wave.tenant_id),
                given_up=tuple(GivenUpTask.model_validate(row, strict=False) for row in given_up),
                has_replan=has_replan,
                trace_id=plan["trace_id"] if plan else None,
            )

    def reserve_wave(self, wave: WaveRef, token: UUID, seconds: float) -> bool:  # noqa: D102
        values = {"token": token, "seconds": seconds}
        with self._database.transaction(wave.tenant_id) as connection:
            return connection.execute(_SQL["reserve_wave"], scope_of(wave) | values).fetchone() is not None

    def decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> Decided:  # noqa: D102
        try:
            with self._database.transaction(wave.tenant_id) as connection:
                deciding = DecidingTransaction(connection, wave, self._sealing)
                failpoint(Failpoint.JUDGE_LOCKED, wave.tenant_id)
                return deciding.decide(decisions)
        except PlanStopped:
            return NOTHING_DECIDED  # what is open is ended by stop_wave

    def open_waves(self, tenant_id: str, plan_id: UUID) -> list[WaveRef]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["open_waves"], {"tenant": tenant_id, "plan": plan_id})
            return [WaveRef(tenant_id=tenant_id, plan_id=plan_id, wave_no=row["wave_no"]) for row in rows]

    def stop_wave(self, wave: WaveRef) -> Decided:  # noqa: D102
        with self._database.transaction(wave.tenant_id) as connection:
            deciding = DecidingTransaction(connection, wave, self._sealing)
            plan = lock_plan(connection, wave)
            if plan is None or plan["state"] != PlanState.STOPPING:
                return NOTHING_DECIDED
            decided = deciding.stop(TaskState(plan["stop_state"]))
            failpoint(Failpoint.STOP_WAVE_CLOSING, wave.tenant_id)
            return decided
