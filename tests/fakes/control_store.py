"""Stopping, pausing and trying again, in memory."""

from uuid import UUID

from chimera.errors import Conflict, NothingToRetry, PlanAlreadyEnded
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.budget import Limit
from chimera.models.work.plan import ENDED, OPEN, PlanChange, PlanState
from chimera.models.work.retry import EndedTask, RetryDraft, RetryKind, nothing_to_retry, plan_states, task_states
from chimera.models.work.session import SessionState
from chimera.models.work.task import Task, TaskState
from chimera.models.work.wave import WaveRef, WaveState
from chimera.ports import control_store as port
from chimera.ports.control_store import Retried, Retry, RetryDrafter
from tests.fakes.database import LONG_AGO, FakeDatabase, PlanRow, TaskRow, WaveRow


class FakeControlStore(port.ControlStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def stop(self, tenant_id: str, plan_id: UUID, end: PlanState, actor: str) -> PlanState:
        to = "cancel" if end is PlanState.CANCELLED else "stop"
        row = self._database.opened().asked_plan(tenant_id, plan_id, to, actor)
        if end in {row.state, row.stop_state}:
            return row.state
        if row.state in ENDED or row.state is PlanState.STOPPING:
            raise PlanAlreadyEnded
        row.stop_state = end
        row.lease = None
        self._record(row, actor, AuditKind.plan_is_to_be(end))
        if row.state in {PlanState.SUBMITTED, PlanState.PLANNING}:
            row.state, row.finished_at = end, self._database.now()
            self._record(row, actor, AuditKind.plan_is(end))
        else:
            row.state = PlanState.STOPPING
        return row.state

    def stop_open(
        self,
        tenant_id: str,
        session_id: str | None,
        end: PlanState,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        if not self._is_held(tenant_id, session_id, only_if):
            return []
        rows = self._open(tenant_id, session_id)[:limit]
        states = [self.stop(tenant_id, row.plan_id, end, actor) for row in rows]
        return [PlanChange(plan_id=row.plan_id, state=state) for row, state in zip(rows, states, strict=True)]

    def pause(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:
        row = self._changeable(tenant_id, plan_id, "pause", actor)
        if _may_be_paused(row):
            self._pause(row, actor)
        return _change(row)

    def pause_open(
        self,
        tenant_id: str,
        session_id: str | None,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        if not self._is_held(tenant_id, session_id, only_if):
            return []
        rows = [row for row in self._open(tenant_id, session_id) if _may_be_paused(row)][:limit]
        for row in rows:
            self._pause(row, actor)
        return [_change(row) for row in rows]

    def resume(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:
        row = self._changeable(tenant_id, plan_id, "resume", actor)
        if row.paused_at is not None:
            self._resume(row, actor)
        return _change(row)

    def resume_open(
        self,
        tenant_id: str,
        session_id: str | None,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        if not self._is_held(tenant_id, session_id, only_if):
            return []
        rows = [row for row in self._open(tenant_id, session_id) if row.paused_at is not None][:limit]
        for row in rows:
            self._resume(row, actor)
        return [_change(row) for row in rows]

    def retry(self, retry: Retry, draft: RetryDrafter) -> Retried:
        row = self._database.opened().asked_plan(retry.tenant_id, retry.plan_id, "retry", retry.actor)
        if row.state not in ENDED | {PlanState.IN_REVIEW}:
            raise Conflict
        ended = self._ended(row, retry)
        made = draft(ended)
        left_out = len(ended) - len(made.placed)
        anew = not row.task_count and row.state in plan_states(retry.kinds)
        earlier = self._earlier(row, retry, anew=anew)
        created = bool(made.placed) or (anew and earlier is None)
        new = self._insert(row, retry, made) if created else earlier
        if new is None:
            raise NothingToRetry(nothing_to_retry(retry.plan_id, retry.kinds, left_out))
        return Retried(
            plan_id=new.plan_id,
            retry_of=row.plan_id,
            created=created,
            state=new.state,
            tasks=new.task_count,
            left_out=left_out,
            paused=created and new.paused_at is not None,
        )

    def retryable(
        self, tenant_id: str, session_id: str | None, kinds: frozenset[RetryKind], after: UUID, limit: int
    ) -> list[UUID]:
        rows = [row for row in self._of(tenant_id, session_id) if row.plan_id > after]
        return [row.plan_id for row in rows if self._may_be_retried(row, kinds)][:limit]

    def _is_held(self, tenant_id: str, session_id: str | None, only_if: SessionState | None) -> bool:
        if session_id is None or only_if is None:
            return True
        session = self._database.opened().sessions.get((tenant_id, session_id))
        return session is not None and session.state is only_if

    def _of(self, tenant_id: str, session_id: str | None) -> list[PlanRow]:
        rows = [row for (owner, _), row in self._database.opened().plans.items() if owner == tenant_id]
        rows = [row for row in rows if session_id in {None, row.request.session_id}]
        return sorted(rows, key=lambda row: row.plan_id)

    def _open(self, tenant_id: str, session_id: str | None) -> list[PlanRow]:
        return [row for row in self._of(tenant_id, session_id) if row.state in OPEN]

    def _changeable(self, tenant_id: str, plan_id: UUID, to: str, actor: str) -> PlanRow:
        row = self._database.opened().asked_plan(tenant_id, plan_id, to, actor)
        if row.state not in OPEN:
            raise PlanAlreadyEnded
        return row

    def _pause(self, row: PlanRow, actor: str) -> None:
        row.paused_at, row.paused_by = self._database.now(), actor
        self._record(row, actor, AuditKind.PLAN_PAUSED)

    def _resume(self, row: PlanRow, actor: str) -> None:
        database = self._database
        row.paused_at = row.paused_by = None
        if row.state is PlanState.SUBMITTED:
            row.published_at = database.now()
        for wave in database.plan_waves(row.request.tenant_id, row.plan_id):
            waits = any(task.state is TaskState.QUEUED for task in database.wave_tasks(wave.ref))
            if wave.state is WaveState.IN_FLIGHT and waits:
                wave.published_at, wave.touched_at = None, LONG_AGO
        self._record(row, actor, AuditKind.PLAN_RESUMED)

    def _tasks(self, row: PlanRow) -> list[TaskRow]:
        place = (row.request.tenant_id, row.plan_id)
        rows = [task for task in self._database.tasks.values() if (task.task.tenant_id, task.task.plan_id) == place]
        return sorted(rows, key=lambda row: row.task.ordinal)

    def _children(self, tenant_id: str, task_id: UUID) -> list[TaskRow]:
        rows = self._database.tasks.values()
        return [row for row in rows if (row.task.tenant_id, row.task.parent_task_id) == (tenant_id, task_id)]

    def _meant(self, row: PlanRow, retry: Retry) -> list[Task]:
        """What of the plan ended so, or that one task if it did."""
        states = task_states(retry.kinds)
        tasks = [each.task for each in self._tasks(row) if each.state in states]
        return [task for task in tasks if retry.task_id in {None, task.task_id}]

    def _ended(self, row: PlanRow, retry: Retry) -> list[EndedTask]:
        tenant_id, tasks = row.request.tenant_id, self._meant(row, retry)
        return [
            EndedTask(
                task_id=task.task_id,
                unmet=tuple(other for other in task.depends_on if self._is_unmet(tenant_id, other)),
            )
            for task in tasks
            if not self._children(tenant_id, task.task_id)
        ]

    def _is_unmet(self, tenant_id: str, task_id: UUID) -> bool:
        tries = [self._database.tasks[tenant_id, task_id], *self._children(tenant_id, task_id)]
        return all(row.state is not TaskState.APPROVED for row in tries)

    def _earlier(self, row: PlanRow, retry: Retry, *, anew: bool) -> PlanRow | None:
        meant = {task.task_id for task in self._meant(row, retry)}
        plans = [each for each in self._of(row.request.tenant_id, None) if each.retry_of == row.plan_id]
        found = [each for each in plans if anew or any(it.task.parent_task_id in meant for it in self._tasks(each))]
        return found[-1] if found else None

    def _may_be_retried(self, row: PlanRow, kinds: frozenset[RetryKind]) -> bool:
        if row.state not in ENDED | {PlanState.IN_REVIEW}:
            return False
        if not row.task_count:
            return row.state in plan_states(kinds)
        return any(task.state in task_states(kinds) for task in self._tasks(row))

    def _insert(self, row: PlanRow, retry: Retry, made: RetryDraft) -> PlanRow:
        database = self._database
        tenant_id = retry.tenant_id
        session = database.enter(tenant_id, row.request.session_id, retry.actor)
        new = PlanRow(
            plan_id=made.plan_id,
            request=row.request.model_copy(update={"deadline": retry.deadline, "idempotency_key": None}),
            first_audit_seq=len(database.audit[tenant_id]) + 1,
            submitted_at=database.now(),
            published_at=database.now(),
            state=PlanState.RUNNING if made.placed else PlanState.SUBMITTED,
            task_count=len(made.placed),
            retry_of=row.plan_id,
            has_replan=row.has_replan,
        )
        database.plans[tenant_id, made.plan_id] = new
        for wave in made.waves:
            ref = WaveRef(tenant_id=tenant_id, plan_id=made.plan_id, wave_no=wave.wave_no)
            database.waves[ref] = WaveRow(ref, row.request.priority, wave.has_dependencies, database.now())
        for wave_no, copy in made.placed:
            tried = database.tasks[tenant_id, copy.parent_task_id]
            old = tried.task.model_copy(update={"skill": tried.degraded_from or tried.task.skill})
            place = {"plan_id": made.plan_id, "wave_no": wave_no} | copy.model_dump(exclude={"depth"})
            database.tasks[tenant_id, copy.task_id] = TaskRow(old.model_copy(update=place), database.now())
        facts: dict[str, object] = {"retry_of": row.plan_id.hex, "retried": sorted(retry.kinds)}
        self._record(new, retry.actor, AuditKind.PLAN_SUBMITTED, facts)
        if made.placed:
            self._record(new, retry.actor, AuditKind.PLAN_PLANNED)
        database.hold_back(new, session)
        return new

    def _record(self, row: PlanRow, actor: str, kind: AuditKind, facts: dict[str, object] | None = None) -> None:
        event = AuditEvent(kind=kind, actor=actor, plan_id=row.plan_id, facts=facts or {})
        self._database.record(row.request.tenant_id, [event])


def _may_be_paused(row: PlanRow) -> bool:
    return row.paused_at is None or row.paused_by in {Limit.DAY, Limit.PLAN}


def _change(row: PlanRow) -> PlanChange:
    return PlanChange(plan_id=row.plan_id, state=row.state, paused=row.paused_at is not None)
