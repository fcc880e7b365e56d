"""Tasks that wait for their planner, in memory."""

import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import sha256
from chimera.models.work.context import REASONS
from chimera.models.work.lease import Renewal
from chimera.models.work.plan import PlanState
from chimera.models.work.replan import DeniedTask, ReplanState
from chimera.models.work.timing import RESEND_SECONDS
from chimera.models.work.wave import WaveRef
from chimera.ports import replan_store as port
from chimera.ports.replan_store import ReplanJob, Replanned
from tests.fakes.database import LONG_AGO, FakeDatabase, Lease, PlanRow, TaskRow


class FakeReplanStore(port.ReplanStore):
    def __init__(self, database: FakeDatabase, isolation: str = "trusted") -> None:
        self._database = database
        self._isolation = isolation

    def begin(
        self, wave: WaveRef, lease_token: UUID, lease_seconds: float, planners: Collection[str]
    ) -> ReplanJob | None:
        database = self._database.opened()
        plan = self._open_plan(wave)
        if plan is None or plan.paused_at is not None or plan.request.planner not in planners:
            return None
        if not database.may_run_code(wave.tenant_id, self._isolation):
            return None
        row = next((row for row in database.wave_tasks(wave) if row.is_asked and self._is_free(row)), None)
        if row is None:
            return None
        row.lease = Lease(lease_token, database.now() + timedelta(seconds=lease_seconds))
        row.replan_tries += 1
        wave_row = database.waves[wave]
        later = database.now() + timedelta(seconds=RESEND_SECONDS)
        wave_row.replan_at = max(wave_row.replan_at or later, later)
        reasons = json.loads(row.feedback or "[]")
        asked = {"try": row.replan_tries, "skill": row.task.skill, "reasons": reasons}
        self._record(wave, row, AuditKind.PLAN_REPLAN_ASKED, asked)
        return self._job(wave, plan, row)

    def renew(self, wave: WaveRef, task_id: UUID, lease_token: UUID, lease_seconds: float) -> Renewal:
        row = self._held(wave, task_id, lease_token)
        if row is None or self._open_plan(wave) is None:
            return Renewal(held=False, may_start=False)
        row.lease = Lease(lease_token, self._database.now() + timedelta(seconds=lease_seconds))
        return Renewal(held=True, may_start=True)

    def save(self, wave: WaveRef, task_id: UUID, lease_token: UUID, replanned: Replanned) -> bool:
        row = self._held(wave, task_id, lease_token)
        plan = self._database.plans.get((wave.tenant_id, wave.plan_id))
        if row is None or plan is None or plan.state not in {PlanState.RUNNING, PlanState.IN_REVIEW}:
            return False
        row.earlier[row.attempt] = row.task
        if replanned.skill != row.task.skill:
            row.degraded_from = None
        row.task = row.task.model_copy(update=dict(replanned))
        row.replan, row.replan_tries, row.lease = None, 0, None
        wave_row = self._database.waves[wave]
        wave_row.published_at, wave_row.touched_at = None, LONG_AGO
        answer = {"answer": "task", "skill": replanned.skill, "input_sha256": sha256(replanned.input).hex()}
        self._record(wave, row, AuditKind.PLAN_REPLAN_ANSWERED, answer)
        return True

    def give_up(self, wave: WaveRef, task_id: UUID, lease_token: UUID, failure: str | None) -> bool:
        row = self._held(wave, task_id, lease_token)
        if row is None:
            return False
        row.replan = ReplanState.GIVEN_UP if failure is None else ReplanState.FAILED
        row.replan_failure, row.lease = failure, None
        why = {} if failure is None else {"failure": failure, "again": False}
        self._record(wave, row, AuditKind.PLAN_REPLAN_ANSWERED, {"answer": row.replan} | why)
        return True

    def postpone(self, wave: WaveRef, task_id: UUID, lease_token: UUID, failure: str, seconds: float) -> bool:
        row = self._held(wave, task_id, lease_token)
        if row is None:
            return False
        until = self._database.now() + timedelta(seconds=seconds)
        row.lease = Lease(UUID(int=0), until)
        wave_row = self._database.waves[wave]
        wave_row.replan_at = min(wave_row.replan_at or until, until)
        self._record(wave, row, AuditKind.PLAN_REPLAN_ANSWERED, {"answer": "failed", "failure": failure, "again": True})
        return True

    def _open_plan(self, wave: WaveRef) -> PlanRow | None:
        plan = self._database.plans.get((wave.tenant_id, wave.plan_id))
        if plan is None or plan.state not in {PlanState.RUNNING, PlanState.IN_REVIEW}:
            return None
        deadline = plan.request.deadline
        return None if deadline is not None and deadline <= self._database.now() else plan

    def _is_free(self, row: TaskRow) -> bool:
        return row.lease is None or self._database.is_lost(row.lease)

    def _held(self, wave: WaveRef, task_id: UUID, lease_token: UUID) -> TaskRow | None:
        row = self._database.opened().tasks.get((wave.tenant_id, task_id))
        held = row is not None and row.is_asked and row.lease is not None and row.lease.token == lease_token
        return row if held else None

    def _record(self, wave: WaveRef, row: TaskRow, kind: AuditKind, facts: Mapping[str, object]) -> None:
        facts = {"attempt": row.attempt, "depth": row.replans, **facts}
        event = AuditEvent(kind=kind, actor="planner", plan_id=wave.plan_id, task_id=row.task.task_id, facts=facts)
        self._database.record(wave.tenant_id, [event])

    def _job(self, wave: WaveRef, plan: PlanRow, row: TaskRow) -> ReplanJob:
        task = row.task
        result = self._database.results.get((wave.tenant_id, task.task_id, row.attempt))
        denied = DeniedTask(
            tenant_id=wave.tenant_id,
            plan_id=wave.plan_id,
            task_id=task.task_id,
            goal=plan.request.goal,
            inputs=plan.request.inputs,
            skill=task.skill,
            input=json.loads(task.input),
            attempt=row.attempt,
            max_attempts=task.max_attempts,
            depth=row.replans,
            output=json.loads(result.outcome).get("output") if result else None,
            feedback=REASONS.validate_json(row.feedback or "[]", strict=False),
        )
        return ReplanJob(
            planner=plan.request.planner,
            denied=denied,
            tries=row.replan_tries,
            state_key=task.state_key,
            timeout_seconds=task.timeout_seconds,
            trace_id=plan.request.trace_id,
        )
