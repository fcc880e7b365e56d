"""Decisions and what they change, in PostgreSQL: one transaction, all or nothing."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.deciding import (
    JUDGE,
    PlanStopped,
    Writing,
    found_in,
    lock_plan,
    lock_wave,
    scope_of,
)
from chimera.adapters.postgres.steps.policy_in_force import in_force, version_in_force
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.steps.staged import staged as staged_result
from chimera.failpoints import Failpoint, failpoint
from chimera.models.gate.gate import stopped
from chimera.models.work.decision import Decision
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports import decision_store as port
from chimera.ports.decision_store import GivenUpTask, LostTask, OpenWave, RefusedTask, WaveDecision

_SQL = statements("decision_store")


class DecisionStore(port.DecisionStore):
    """In the role `judge`. Locks the wave first, the audit's head last."""

    def __init__(self, database: Database, sealing: Sealing | None = None) -> None:
        self._database = database
        # None where no checkpoints are made.
        self._sealing = sealing

    def open_wave(self, wave: WaveRef) -> OpenWave:  # noqa: D102  see the port
        with self._database.transaction(wave.tenant_id) as connection:
            staged = connection.execute(_SQL["staged"], scope_of(wave))
            ended = connection.execute(_SQL["without_result"], scope_of(wave))
            plan = connection.execute(_SQL["has_replan"], scope_of(wave)).fetchone()
            has_replan = plan is not None and plan["has_replan"]
            given_up = connection.execute(_SQL["given_up"], scope_of(wave)) if has_replan else ()
            without_result = ended.fetchall()
            return OpenWave(
                staged=tuple(staged_result(row) for row in staged),
                lost=tuple(
                    LostTask(task_id=row["task_id"], attempt=row["attempt"])
                    for row in without_result
                    if row["limit"] is None
                ),
                refused=tuple(RefusedTask.model_validate(row) for row in without_result if row["limit"] is not None),
                policy=in_force(connection, wave.tenant_id),
                given_up=tuple(GivenUpTask.model_validate(row, strict=False) for row in given_up),
                has_replan=has_replan,
            )

    def begin_asking(self, wave: WaveRef, token: UUID, seconds: float) -> bool:  # noqa: D102
        values = {"token": token, "seconds": seconds}
        with self._database.transaction(wave.tenant_id) as connection:
            return connection.execute(_SQL["begin_asking"], scope_of(wave) | values).fetchone() is not None

    def decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> int:  # noqa: D102
        try:
            return self._decide_wave(wave, decisions)
        except PlanStopped:
            return 0  # what is open is ended by stop_wave

    def _decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> int:
        with self._database.transaction(wave.tenant_id) as connection:
            lock_wave(connection, wave)
            failpoint(Failpoint.JUDGE_LOCKED, wave.tenant_id)
            writing = Writing(connection, wave, self._sealing)
            decisions = writing.write_state(decisions)
            failpoint(Failpoint.JUDGE_STATE_WRITTEN, wave.tenant_id)
            found = writing.move_tasks(decisions)
            if not found:
                return 0
            failpoint(Failpoint.JUDGE_TASKS_MOVED, wave.tenant_id)
            writing.open_cards(found)
            failpoint(Failpoint.JUDGE_CARDS_OPENED, wave.tenant_id)
            moved = Counter(item.decision.ruling.next_state for item in found)
            writing.count(moved)
            failpoint(Failpoint.JUDGE_COUNTED, wave.tenant_id)
            writing.settle((item.decision.task_id, found_in(item)) for item in found)
            writing.record([item.decision for item in found], gated=True)
            failpoint(Failpoint.JUDGE_COMMITS_WRITTEN, wave.tenant_id)
        return moved[TaskState.QUEUED]

    def open_waves(self, tenant_id: str, plan_id: UUID) -> list[WaveRef]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["open_waves"], {"tenant": tenant_id, "plan": plan_id})
            return [WaveRef(tenant_id=tenant_id, plan_id=plan_id, wave_no=row["wave_no"]) for row in rows]

    def stop_wave(self, wave: WaveRef) -> None:  # noqa: D102
        with self._database.transaction(wave.tenant_id) as connection:
            lock_wave(connection, wave)
            plan = lock_plan(connection, wave)
            if plan is None or plan["state"] != "stopping":
                return
            ruling = stopped(TaskState(plan["stop_state"]))
            end = {"end": ruling.next_state}
            tasks = connection.execute(_SQL["stop_tasks"], scope_of(wave) | end).fetchall()
            if not tasks:
                return
            ids = {"task_ids": [task["task_id"] for task in tasks]}
            connection.execute(_SQL["stop_cards"], scope_of(wave) | end | ids)
            reviewed = sum(task["was"] == TaskState.IN_REVIEW for task in tasks)
            writing = Writing(connection, wave, self._sealing)
            policy_version = version_in_force(connection, wave.tenant_id)
            writing.count(Counter({ruling.next_state: len(tasks), TaskState.IN_REVIEW: -reviewed}))
            writing.settle((task["task_id"], TaskState(task["was"])) for task in tasks)
            writing.record(
                [
                    Decision(
                        task_id=task["task_id"],
                        attempt=task["attempt"],
                        ruling=ruling,
                        result_sha256=b"",
                        decided_by=JUDGE,
                        policy_version=policy_version,
                    )
                    for task in tasks
                ],
                stopping=True,
            )
            failpoint(Failpoint.STOP_WAVE_CLOSING, wave.tenant_id)
