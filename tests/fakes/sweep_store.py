"""What lost messages left undone, in memory."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from chimera.models.audit.access import rest_event
from chimera.models.budget.budget import ACTOR, Limit
from chimera.models.budget.cost import CostKnowledge
from chimera.models.work.bound import BoundTenant
from chimera.models.work.lease import LostLease
from chimera.models.work.plan import ENDED, PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.timing import (
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
from chimera.models.work.wave import WaveRef, WaveState
from chimera.ports import sweep_store as port
from chimera.ports.sweep_store import OverdueWave, PlanRef
from tests.fakes import budgeting
from tests.fakes.control_store import FakeControlStore
from tests.fakes.database import LONG_AGO, FakeDatabase, PlanRow, WaveRow
from tests.fakes.plan_store import FakePlanStore

_MESSAGE = timedelta(seconds=PLANNER_MESSAGE_SECONDS)
_UNTOUCHED = timedelta(seconds=UNTOUCHED_SECONDS)
_AGAIN = timedelta(seconds=RESEND_SECONDS)


class FakeSweepStore(port.SweepStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._plans = FakePlanStore(database)
        self._control = FakeControlStore(database)

    def expire_plans(self) -> list[PlanRef]:
        rows = [row for row in self._database.opened().plans.values() if self._is_overdue(row)]
        ends = [self._control.stop(row.request.tenant_id, row.plan_id, PlanState.EXPIRED, "sweep") for row in rows]
        return [_ref(row) for row, end in zip(rows, ends, strict=True) if end is PlanState.STOPPING]

    def bound_tenants(self) -> list[BoundTenant]:
        return self._database.opened().bound_tenants

    def keep_audit(self) -> None:
        database = self._database.opened()
        for tenant_id, count in database.refusals.items():
            if count.unrecorded and count.is_over(database.now()):
                database.record(tenant_id, [rest_event(count)])
                database.refusals[tenant_id] = count.model_copy(update={"unrecorded": 0})

    def forget(self, epoch: str) -> int:
        database = self._database.opened()
        rows: list[PlanRow | WaveRow] = [
            *(row for row in database.plans.values() if row.state is PlanState.SUBMITTED),
            *(row for row in database.waves.values() if row.state is WaveState.IN_FLIGHT),
        ]
        forgotten = [row for row in rows if row.published_at is not None and row.epoch != epoch]
        for row in forgotten:
            row.published_at = None
            if isinstance(row, WaveRow):
                row.touched_at = LONG_AGO
                row.replan_at = LONG_AGO if row.replan_at is not None else None
        return len(forgotten)

    def unplanned(self) -> list[PlanRef]:
        return [_ref(row) for row in self._database.opened().plans.values() if self._waits_for_a_planner(row)]

    def unreplanned(self) -> list[WaveRef]:
        return [row.ref for row in self._database.opened().waves.values() if self._waits_for_its_planner(row)]

    def mark_published(self, plan: PlanRef, epoch: str) -> None:
        self._plans.mark_published(plan.tenant_id, plan.plan_id, epoch)

    def stopping(self) -> list[PlanRef]:
        return [_ref(row) for row in self._database.opened().plans.values() if row.state is PlanState.STOPPING]

    def untouched_waves(self) -> list[WaveRef]:
        database = self._database.opened()
        return [row.ref for row in database.waves.values() if self._is_untouched(row)]

    def agents(self, tenant_id: str, waves: Sequence[WaveRef]) -> set[UUID]:
        database = self._database.opened()
        rows = [row for wave in waves if wave.tenant_id == tenant_id for row in database.wave_tasks(wave)]
        return {row.agent_id for row in rows if row.state is TaskState.RUNNING and row.agent_id is not None}

    def look_at(
        self,
        wave: WaveRef,
        gone: Collection[UUID],
        silent: Collection[UUID],
        *,
        queue_is_empty: bool,
        skills: Collection[str] | None = None,
    ) -> OverdueWave | None:
        database = self._database.opened()
        row = database.waves.get(wave)
        if row is None or not self._is_untouched(row):
            return None
        quiet = database.now() + timedelta(seconds=LEASE_SECONDS - QUIET_SECONDS)
        for task in database.wave_tasks(wave):
            if task.state is not TaskState.RUNNING or task.lease is None:
                continue
            if task.agent_id in gone or (task.agent_id in silent and task.lease.until < quiet):
                task.lease.until = LONG_AGO
        return self._look_at(row, queue_is_empty=queue_is_empty, skills=skills)

    def resume_in_budget(self) -> list[PlanRef]:
        rows = [row for row in self._database.opened().plans.values() if self._may_go_on(row)]
        for row in rows:
            self._control.resume(row.request.tenant_id, row.plan_id, ACTOR)
        return [PlanRef(tenant_id=row.request.tenant_id, plan_id=row.plan_id) for row in rows]

    def _may_go_on(self, row: PlanRow) -> bool:
        if row.paused_at is None or row.paused_by not in {Limit.DAY, Limit.PLAN}:
            return False
        database, tenant_id, since = self._database, row.request.tenant_id, row.paused_at
        today = budgeting.today(database)
        accounts = [database.budgets.get((tenant_id, key)) for key in (today, row.plan_id)]
        allowed = any(each is not None and each.allowed_at is not None and each.allowed_at > since for each in accounts)
        applied = [*database.policies[tenant_id], *database.policies["*"]]
        day_is_over = row.paused_by == Limit.DAY and since.date() < today
        return day_is_over or allowed or any(each.at > since for each in applied)

    def waiting_tenants(self) -> list[str]:
        database = self._database.opened()
        waiting = set()
        for row in database.waves.values():
            unsent = row.state is WaveState.WAITING or (
                row.state is WaveState.IN_FLIGHT and (row.published_at is None or row.budget_waits)
            )
            if unsent and database.plan(row.ref.tenant_id, row.ref.plan_id).goes_on:
                waiting.add(row.ref.tenant_id)
        return sorted(waiting)

    def _is_overdue(self, row: PlanRow) -> bool:
        deadline = row.request.deadline
        past = deadline is not None and deadline < self._database.now()
        return past and row.state not in ENDED | {PlanState.STOPPING}

    def _waits_for_a_planner(self, row: PlanRow) -> bool:
        now = self._database.now()
        if row.paused_at is not None:
            return False
        again = row.published_at is None or row.published_at < now - _AGAIN
        if row.state is PlanState.PLANNING and row.lease is not None and self._database.is_lost(row.lease):
            return again or (row.published_at is not None and row.published_at < row.lease.until)
        return again and row.state is PlanState.SUBMITTED and row.submitted_at < now - _MESSAGE

    def _waits_for_its_planner(self, row: WaveRow) -> bool:
        database, now = self._database, self._database.now()
        if row.state is not WaveState.IN_FLIGHT or row.replan_at is None or row.replan_at >= now:
            return False
        if not database.plan(row.ref.tenant_id, row.ref.plan_id).goes_on:
            return False
        asked = [task for task in database.wave_tasks(row.ref) if task.is_asked]
        free = any(task.lease is None or database.is_lost(task.lease) for task in asked)
        row.replan_at = now + (_AGAIN if free else _MESSAGE) if asked else None
        return free

    def _is_untouched(self, row: WaveRow) -> bool:
        in_flight = row.state is WaveState.IN_FLIGHT and row.published_at is not None
        return in_flight and row.touched_at < self._database.now() - _UNTOUCHED

    def _look_at(self, row: WaveRow, *, queue_is_empty: bool, skills: Collection[str] | None) -> OverdueWave:
        database = self._database
        wait = _AGAIN * 2 ** min(row.publish_count - 1, RESEND_DOUBLINGS)
        if queue_is_empty:
            wait = timedelta(seconds=LOST_SECONDS)
        lost = row.published_at is not None and row.published_at < database.now() - wait
        taken_back: list[LostLease] = []
        judge = False
        tasks = database.wave_tasks(row.ref)
        for task in tasks:
            if task.state is TaskState.RUNNING and database.is_given_up(task.lease):
                if task.attempt < task.task.max_attempts:
                    assert not budgeting.settle(database, task, CostKnowledge.UNKNOWN)
                    task.state, task.lease = TaskState.QUEUED, None
                    database.lose(task)
                    assert task.agent_id is not None
                    lost_lease = LostLease(task_id=task.task.task_id, attempt=task.attempt, agent_id=task.agent_id)
                    taken_back.append(lost_lease)
                else:
                    judge = True
        staged = any(task.state is TaskState.STAGED for task in tasks)
        judge = judge or staged or any(task.is_given_up or task.is_refused for task in tasks)
        running = any(task.state is TaskState.RUNNING for task in tasks)
        queued = [task for task in tasks if task.waits and (task.reserved_for is not None or not row.budget_waits)]
        lacking = [task for task in queued if skills is not None and task.task.skill not in skills]
        can_run = len(queued) > len(lacking)
        paused = database.plan(row.ref.tenant_id, row.ref.plan_id).paused_at is not None
        assert row.published_at is not None
        came_back = row.skill_waits_since is not None and (queue_is_empty or row.published_at < database.now() - _AGAIN)
        publish = not paused and can_run and (bool(taken_back) or lost or came_back)
        waits_only = bool(lacking) and not (can_run or judge or running)
        soon = (
            database.now()
            + timedelta(seconds=LOOK_FOR_SKILL_SECONDS if waits_only else LOOK_AGAIN_SECONDS)
            - _UNTOUCHED
        )
        row.touched_at = LONG_AGO if publish else soon
        if lacking and row.skill_waits_since is None:
            row.skill_waits_since = database.now()
        if not queued:
            row.skill_waits_since = None
        if publish:
            row.published_at = None
        trace_id = database.plan(row.ref.tenant_id, row.ref.plan_id).request.trace_id
        return OverdueWave(wave=row.ref, judge=judge, taken_back=tuple(taken_back), trace_id=trace_id)


def _ref(row: PlanRow) -> PlanRef:
    return PlanRef(tenant_id=row.request.tenant_id, plan_id=row.plan_id, trace_id=row.request.trace_id)
