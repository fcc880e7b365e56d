"""Plans as their submitters see them, in memory."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from chimera.errors import IdempotencyConflict, UnknownTenant
from chimera.models.audit.audit import AuditEntry, AuditEvent
from chimera.models.audit.entry_filter import EVERY_ENTRY, EntryFilter
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import canonical_json
from chimera.models.work.lease import Renewal
from chimera.models.work.plan import OPEN, Plan, PlanCounts, PlanFailure, PlanRequest, PlanState, require_future
from chimera.models.work.result import OUTCOME
from chimera.models.work.task import Task, TaskState
from chimera.models.work.wave import Wave, WaveRef
from chimera.ports import plan_store as port
from chimera.ports.plan_store import PlanningJob, Submitted, TaskResult
from tests.fakes.database import FakeDatabase, Lease, PlanRow, TaskRow, WaveRow


class FakePlanStore(port.PlanStore):
    def __init__(self, database: FakeDatabase, isolation: str = "trusted") -> None:
        self._database = database
        self._isolation = isolation

    def submit(self, plan_id: UUID, request: PlanRequest) -> Submitted:
        database = self._database.opened()
        if earlier := self._earlier(request):
            return Submitted(plan_id=earlier.plan_id, created=False)
        session = database.enter(request.tenant_id, request.session_id, "app")
        row = database.plans[request.tenant_id, plan_id] = PlanRow(
            plan_id=plan_id,
            request=request,
            first_audit_seq=len(database.audit[request.tenant_id]) + 1,
            submitted_at=database.now(),
        )
        self._record(request.tenant_id, plan_id, "app", AuditKind.PLAN_SUBMITTED)
        return Submitted(plan_id=plan_id, created=True, paused=database.hold_back(row, session))

    def check(self, request: PlanRequest) -> None:
        database = self._database.opened()
        if self._earlier(request) is None and (request.tenant_id, request.session_id) in database.sessions:
            database.enter(request.tenant_id, request.session_id, "app")

    def _earlier(self, request: PlanRequest) -> PlanRow | None:
        """The plan that its key has made, unless the request is refused."""
        if request.tenant_id not in self._database.tenants:
            raise UnknownTenant
        if earlier := self._of_key(request):
            if earlier.request.sha256() != request.sha256():
                raise IdempotencyConflict
            return earlier
        require_future(request.deadline, self._database.now())
        return None

    def mark_published(self, tenant_id: str, plan_id: UUID, epoch: str) -> None:
        database = self._database.opened()
        if row := database.plans.get((tenant_id, plan_id)):
            row.published_at = database.now()
            row.epoch = epoch

    def renew_planning(self, tenant_id: str, plan_id: UUID, lease_token: UUID, lease_seconds: float) -> Renewal:
        database = self._database.opened()
        row = database.plans.get((tenant_id, plan_id))
        held = row is not None and row.state is PlanState.PLANNING and row.lease is not None
        if row is None or row.lease is None or not held or row.lease.token != lease_token:
            return Renewal(held=False, may_start=False)
        row.lease = Lease(lease_token, database.now() + timedelta(seconds=lease_seconds))
        return Renewal(held=True, may_start=True)

    def begin_planning(
        self, tenant_id: str, plan_id: UUID, lease_token: UUID, lease_seconds: float, planners: Collection[str]
    ) -> PlanningJob | None:
        database = self._database.opened()
        row = database.plans.get((tenant_id, plan_id))
        if row is None or not self._may_be_planned(row) or row.request.planner not in planners:
            return None
        if not database.may_run_code(tenant_id, self._isolation):
            return None
        row.state = PlanState.PLANNING
        row.lease = Lease(lease_token, database.now() + timedelta(seconds=lease_seconds))
        row.planner_attempt += 1
        request = row.request
        return PlanningJob(
            planner=request.planner,
            goal=request.goal,
            inputs=canonical_json(request.inputs),
            priority=request.priority,
            attempt=row.planner_attempt,
            trace_id=request.trace_id,
        )

    def save_tasks(
        self,
        tenant_id: str,
        plan_id: UUID,
        lease_token: UUID,
        waves: Sequence[Wave],
        tasks: Sequence[Task],
        *,
        has_replan: bool = False,
    ) -> bool:
        database = self._database.opened()
        row = self._held(tenant_id, plan_id, lease_token)
        if row is None:
            return False
        row.lease = None
        row.task_count = len(tasks)
        row.has_replan = has_replan
        self._record(tenant_id, plan_id, "planner", AuditKind.PLAN_PLANNED)
        if not tasks:
            self._end(tenant_id, row, PlanState.COMPLETED, "planner")
            return True
        row.state = PlanState.RUNNING
        for wave in waves:
            ref = WaveRef(tenant_id=tenant_id, plan_id=plan_id, wave_no=wave.wave_no)
            database.waves[ref] = WaveRow(
                ref=ref,
                priority=row.request.priority,
                has_dependencies=wave.has_dependencies,
                touched_at=database.now(),
            )
        for task in tasks:
            database.tasks[tenant_id, task.task_id] = TaskRow(task, database.now())
        return True

    def fail_plan(self, tenant_id: str, plan_id: UUID, lease_token: UUID, failure: PlanFailure) -> bool:
        self._database.opened()
        row = self._held(tenant_id, plan_id, lease_token)
        if row is None:
            return False
        row.lease = None
        row.failure = failure
        self._end(tenant_id, row, PlanState.FAILED, "planner")
        return True

    def get(self, tenant_id: str, plan_id: UUID) -> Plan:
        return self._shown(self._database.opened().asked_plan(tenant_id, plan_id))

    def list_plans(
        self, tenant_id: str, limit: int, state: PlanState | None = None, session_id: str | None = None
    ) -> list[Plan]:
        rows = [row for (owner, _), row in self._database.opened().plans.items() if owner == tenant_id]
        rows = [row for row in rows if state in {None, row.state} and session_id in {None, row.request.session_id}]
        rows.sort(key=lambda row: row.plan_id, reverse=True)
        return [self._shown(row) for row in rows[:limit]]

    def results(self, tenant_id: str, plan_id: UUID, after: tuple[int, int], limit: int) -> list[TaskResult]:
        database = self._database.opened()
        rows = [row for wave in database.plan_waves(tenant_id, plan_id) for row in database.wave_tasks(wave.ref)]
        rows = [row for row in rows if (row.task.wave_no, row.task.ordinal) > after]
        return [self._result(row) for row in rows[:limit]]

    def entries(
        self, tenant_id: str, plan_id: UUID | None, after: int, limit: int, wanted: EntryFilter = EVERY_ENTRY
    ) -> list[AuditEntry]:
        of_plan = wanted.model_copy(update={"plan_id": plan_id})
        return [entry for entry in self._database.opened().audit[tenant_id][after:] if of_plan.holds(entry)][:limit]

    def erased(self, tenant_id: str, ids: Collection[UUID]) -> set[UUID]:
        self._database.opened()
        return set()  # nothing is erased in memory

    def last_entries(self, tenant_id: str, limit: int, wanted: EntryFilter = EVERY_ENTRY) -> list[AuditEntry]:
        return [entry for entry in self._database.opened().audit[tenant_id] if wanted.holds(entry)][-limit:]

    def _of_key(self, request: PlanRequest) -> PlanRow | None:
        """The plan that the request's idempotency key has made."""
        if request.idempotency_key is None:
            return None
        wanted = (request.tenant_id, request.idempotency_key)
        rows = self._database.plans.values()
        return next((row for row in rows if (row.request.tenant_id, row.request.idempotency_key) == wanted), None)

    def _may_be_planned(self, row: PlanRow) -> bool:
        if row.paused_at is not None:
            return False
        deadline = row.request.deadline
        if deadline is not None and deadline <= self._database.now():
            return False
        dropped = row.state is PlanState.PLANNING and self._database.is_lost(row.lease)
        return row.state is PlanState.SUBMITTED or dropped

    def _held(self, tenant_id: str, plan_id: UUID, lease_token: UUID) -> PlanRow | None:
        """The plan, if this is the token of its lease."""
        row = self._database.plans.get((tenant_id, plan_id))
        held = row is not None and row.lease is not None and row.lease.token == lease_token
        return row if held else None

    def _end(self, tenant_id: str, row: PlanRow, state: PlanState, actor: str) -> None:
        row.state = state
        row.finished_at = self._database.now()
        self._record(tenant_id, row.plan_id, actor, AuditKind.plan_is(state))

    def _record(self, tenant_id: str, plan_id: UUID, actor: str, kind: AuditKind) -> None:
        self._database.record(tenant_id, [AuditEvent(kind=kind, actor=actor, plan_id=plan_id, facts={})])

    def _shown(self, row: PlanRow) -> Plan:
        request = row.request
        return Plan(
            tenant_id=request.tenant_id,
            plan_id=row.plan_id,
            planner=request.planner,
            goal=request.goal,
            state=row.state,
            priority=request.priority,
            trace_id=request.trace_id,
            session_id=request.session_id,
            idempotency_key=request.idempotency_key,
            deadline=request.deadline,
            failure=row.failure,
            counts=self._counts(row),
            first_audit_seq=row.first_audit_seq,
            submitted_at=row.submitted_at,
            finished_at=row.finished_at,
            paused_at=row.paused_at if row.state in OPEN else None,
            paused_by=row.paused_by if row.state in OPEN else None,
            retry_of=row.retry_of,
        )

    def _counts(self, row: PlanRow) -> PlanCounts:
        waves = self._database.plan_waves(row.request.tenant_id, row.plan_id)
        states = Counter(task.state for wave in waves for task in self._database.wave_tasks(wave.ref))
        return PlanCounts(
            tasks=row.task_count,
            committed=states[TaskState.APPROVED],
            in_review=states[TaskState.IN_REVIEW],
            denied=states[TaskState.DENIED],
            failed=states[TaskState.EXHAUSTED],
            cancelled=states[TaskState.CANCELLED] + states[TaskState.EXPIRED],
        )

    def _result(self, row: TaskRow) -> TaskResult:
        task = row.task
        result = self._database.results.get((task.tenant_id, task.task_id, row.attempt))
        outcome = result and result.outcome
        if row.state is TaskState.APPROVED:
            outcome = self._database.shown(row)
        return TaskResult(
            task_id=task.task_id,
            wave_no=task.wave_no,
            ordinal=task.ordinal,
            skill=task.skill,
            state=row.state,
            attempt=row.attempt,
            outcome=OUTCOME.validate_python(json.loads(outcome), strict=False) if outcome else None,
            label=json.loads(task.label) if task.label else None,
        )
