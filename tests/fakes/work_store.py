"""Tasks as workers see them, in memory."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from chimera.models.record import canonical_json
from chimera.models.work.history import LateResult
from chimera.models.work.lease import Renewal
from chimera.models.work.plan import PlanState
from chimera.models.work.result import Result
from chimera.models.work.task import ClaimedTask, TaskState
from chimera.models.work.wave import WaveRef, WaveState
from chimera.ports import work_store as port
from tests.fakes.database import FakeDatabase, Lease, PlanRow, TaskRow


class FakeWorkStore(port.WorkStore):
    def __init__(self, database: FakeDatabase, isolation: str = "trusted") -> None:
        self._database = database
        self._isolation = isolation

    def claim(
        self,
        wave: WaveRef,
        task_ids: Sequence[UUID],
        agent_id: UUID,
        lease_token: UUID,
        lease_seconds: float,
        skills: Collection[str],
    ) -> list[ClaimedTask]:
        database = self._database.opened()
        if not self._plan_goes_on(wave) or not database.may_run_code(wave.tenant_id, self._isolation):
            return []
        asked = [row for row in database.wave_tasks(wave) if row.task.task_id in task_ids and row.task.skill in skills]
        free = [row for row in asked if self._is_free(row) and (len(task_ids) == 1 or not row.runs_alone)]
        for row in free:
            row.state = TaskState.RUNNING
            row.attempt += 1
            row.started_at = row.started_at or database.now()
            row.agent_id = agent_id
            database.taken[wave.tenant_id, row.task.task_id, row.attempt] = agent_id, database.now()
            row.lease = Lease(lease_token, database.now() + timedelta(seconds=lease_seconds))
            row.state_version = self._version_of(row)
        return [self._claimed(row) for row in free]

    def give_back(self, wave: WaveRef, task_ids: Sequence[UUID], skills: Collection[str]) -> list[str]:
        database = self._database.opened()
        asked = [row for row in database.wave_tasks(wave) if row.task.task_id in task_ids]
        runnable = {*skills} if database.may_run_code(wave.tenant_id, self._isolation) else set()
        lacking = {row.task.skill for row in asked if row.waits} - runnable
        row = database.waves.get(wave)
        if lacking and row is not None and row.state is WaveState.IN_FLIGHT and row.skill_waits_since is None:
            row.skill_waits_since = database.now()
        return sorted(lacking)

    def renew(self, wave: WaveRef, lease_token: UUID, lease_seconds: float) -> Renewal:
        database = self._database.opened()
        held = [row for row in database.wave_tasks(wave) if row.lease is not None and row.lease.token == lease_token]
        plan = self._database.plans.get((wave.tenant_id, wave.plan_id))
        is_open = plan is not None and plan.state in {PlanState.RUNNING, PlanState.IN_REVIEW}
        if not held or plan is None or not is_open or self._is_too_late(plan):
            return Renewal(held=False, may_start=False)
        for row in held:
            row.lease = Lease(lease_token, database.now() + timedelta(seconds=lease_seconds))
        return Renewal(held=True, may_start=plan.paused_at is None)

    def release(self, wave: WaveRef, lease_token: UUID, task_ids: Sequence[UUID]) -> None:
        database = self._database.opened()
        for row in database.wave_tasks(wave):
            if row.task.task_id in task_ids and row.lease is not None and row.lease.token == lease_token:
                del database.taken[wave.tenant_id, row.task.task_id, row.attempt]
                row.state, row.lease = TaskState.QUEUED, None
                row.attempt -= 1
                row.started_at = row.started_at if row.attempt else None

    def stage(self, wave: WaveRef, agent_id: UUID, lease_token: UUID, results: Sequence[Result]) -> int:
        database = self._database.opened()
        staged = 0
        for result in results:
            row = next((row for row in database.wave_tasks(wave) if row.task.task_id == result.task_id), None)
            earlier = database.results.get((wave.tenant_id, result.task_id, result.attempt))
            if earlier is not None and earlier.sha256 == result.sha256:
                staged += 1  # sent again
                continue
            if row is None or row.agent_id != agent_id or not self._is_mine(row, result.attempt, lease_token):
                if database.taken.get((wave.tenant_id, result.task_id, result.attempt), (None,))[0] == agent_id:
                    self._refuse(wave.tenant_id, agent_id, lease_token, result)
                continue
            row.state = TaskState.STAGED
            row.lease = None
            database.results[wave.tenant_id, result.task_id, result.attempt] = result
            database.staged_by[wave.tenant_id, result.task_id, result.attempt] = agent_id
            staged += 1
        return staged

    def _refuse(self, tenant_id: str, agent_id: UUID, lease_token: UUID, result: Result) -> None:
        """Puts a result that came too late on record, once."""
        database = self._database
        if (tenant_id, result.task_id, lease_token) in database.stale:
            return
        database.stale[tenant_id, result.task_id, lease_token] = result
        late = LateResult(
            attempt=result.attempt,
            agent_id=agent_id,
            result_sha256=result.sha256.hex(),
            refused_at=database.now(),
        )
        database.late[tenant_id, result.task_id].append(late)

    def _plan_goes_on(self, wave: WaveRef) -> bool:
        plan = self._database.plans.get((wave.tenant_id, wave.plan_id))
        if plan is None or not plan.goes_on:
            return False
        return not self._is_too_late(plan)

    def _is_too_late(self, plan: PlanRow) -> bool:
        return plan.request.deadline is not None and plan.request.deadline <= self._database.now()

    def _is_free(self, row: TaskRow) -> bool:
        budgeted = self._database.policy(row.task.tenant_id).policy.budget is not None
        if budgeted and row.reserved_for != row.attempt + 1:
            return False
        return row.waits and row.attempt < row.task.max_attempts and self._database.may_run(row.task)

    def _version_of(self, row: TaskRow) -> int | None:
        """The version of the shared state that the task will change; 0 where there is none yet."""
        if row.task.state_key is None:
            return None
        shared = self._database.shared(row.task.tenant_id, row.task.state_key)
        return shared.version if shared else 0

    def _claimed(self, row: TaskRow) -> ClaimedTask:
        shared = self._database.shared(row.task.tenant_id, row.task.state_key)
        return ClaimedTask(
            task_id=row.task.task_id,
            skill=row.task.skill,
            input=row.task.input,
            attempt=row.attempt,
            max_attempts=row.task.max_attempts,
            timeout_seconds=row.task.timeout_seconds,
            feedback=row.feedback,
            state_key=row.task.state_key,
            state_value=None if shared is None else canonical_json(shared.value),
            state_version=row.state_version,
            unmet_dependencies=self._database.unmet(row.task),
            trace_id=self._database.plan(row.task.tenant_id, row.task.plan_id).request.trace_id,
        )

    @staticmethod
    def _is_mine(row: TaskRow, attempt: int, lease_token: UUID) -> bool:
        running = row.state is TaskState.RUNNING and row.attempt == attempt
        return running and row.lease is not None and row.lease.token == lease_token
