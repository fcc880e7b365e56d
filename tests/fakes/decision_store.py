"""Decisions and what they change, in memory."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from chimera.models.gate.deciding import NOTHING_DECIDED, Decided, OpenTask, WaveDecision, stop_decision
from chimera.models.gate.review import CardStatus
from chimera.models.record import canonical_json
from chimera.models.work.context import REASONS
from chimera.models.work.lease import LostLease
from chimera.models.work.plan import PlanState
from chimera.models.work.replan import ReplanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports import decision_store as port
from chimera.ports.decision_store import (
    GivenUpTask,
    OpenWave,
    PolicyChanged,
    RefusedTask,
)
from tests.fakes.database import FakeDatabase, TaskRow
from tests.fakes.deciding import FakeDeciding


class FakeDecisionStore(FakeDeciding, port.DecisionStore):
    def __init__(self, database: FakeDatabase) -> None:
        super().__init__(database)
        self._reserved: dict[WaveRef, tuple[UUID, datetime]] = {}

    def open_wave(self, wave: WaveRef, most_bytes: int | None = None) -> OpenWave:
        tasks = self._database.opened().wave_tasks(wave)
        plan = self._database.plans.get((wave.tenant_id, wave.plan_id))
        staged = [self._staged(row) for row in tasks if row.state is TaskState.STAGED]
        sizes = [each.size + len(canonical_json(each.input)) for each in staged]
        read = [
            each
            for place, each in enumerate(staged)
            if most_bytes is None or place == 0 or sum(sizes[: place + 1]) <= most_bytes
        ]
        return OpenWave(
            staged=tuple(read),
            bytes=sum(sizes),
            is_left=len(read) < len(staged),
            lost=tuple(
                LostLease(task_id=row.task.task_id, attempt=row.attempt, agent_id=row.agent_id)
                for row in tasks
                if self._is_given_up(row) and row.agent_id is not None
            ),
            given_up=tuple(self._given_up(row) for row in tasks if row.is_given_up),
            has_replan=plan is not None and plan.has_replan,
            trace_id=plan.request.trace_id if plan else None,
            refused=tuple(
                RefusedTask(
                    task_id=row.task.task_id,
                    attempt=row.attempt,
                    agent_id=self._database.agent_of(row),
                    limit=row.over_budget,
                )
                for row in tasks
                if row.state is TaskState.QUEUED and row.over_budget is not None
            ),
            policy=self._database.policy(wave.tenant_id),
        )

    def reserve_wave(self, wave: WaveRef, token: UUID, seconds: float) -> bool:
        now = self._database.opened().now()
        token_before, until = self._reserved.get(wave, (token, now))
        if token_before != token and until > now:
            return False
        self._reserved[wave] = (token, now + timedelta(seconds=seconds))
        return True

    def decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> Decided:
        self._database.opened()
        found = [item for item in decisions if self._is_found(wave, item)]
        if self._is_stopped(wave) or not found:
            return NOTHING_DECIDED
        if {item.decision.policy_version for item in found} != {self._database.policy(wave.tenant_id).version}:
            raise PolicyChanged
        return self._decide(wave, found)

    def open_waves(self, tenant_id: str, plan_id: UUID) -> list[WaveRef]:
        database = self._database.opened()
        plan = database.plans.get((tenant_id, plan_id))
        if plan is None or plan.state is not PlanState.STOPPING:
            return []
        return [row.ref for row in database.plan_waves(tenant_id, plan_id) if self._open_tasks(row.ref)]

    def stop_wave(self, wave: WaveRef) -> Decided:
        plan = self._database.opened().plans.get((wave.tenant_id, wave.plan_id))
        if plan is None or plan.state is not PlanState.STOPPING or plan.stop_state is None:
            return NOTHING_DECIDED
        end, policy_version = TaskState(plan.stop_state), self._database.policy(wave.tenant_id).version
        decisions = []
        for row in self._open_tasks(wave):
            self._close_card(wave.tenant_id, row.task.task_id, CardStatus(plan.stop_state))
            task = OpenTask(
                task_id=row.task.task_id,
                attempt=row.attempt,
                agent_id=self._database.agent_of(row),
                found=row.state,
            )
            decisions.append(stop_decision(task, end, policy_version))
        return self._decide(wave, decisions)

    def _given_up(self, row: TaskRow) -> GivenUpTask:
        return GivenUpTask(
            task_id=row.task.task_id,
            attempt=row.attempt,
            agent_id=self._database.agent_of(row),
            reasons=REASONS.validate_json(row.feedback or "[]", strict=False),
            failure=row.replan_failure if row.replan is ReplanState.FAILED else None,
        )
