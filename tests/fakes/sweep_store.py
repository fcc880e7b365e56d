"""What lost messages left undone, in memory."""

from datetime import timedelta

from chimera.models.plan import ENDED, PlanState
from chimera.models.task import TaskState
from chimera.ports import sweep_store as port
from chimera.ports.sweep_store import OverdueWave, PlanRef
from tests.fakes.database import LONG_AGO, FakeDatabase, PlanRow, WaveRow
from tests.fakes.plan_store import FakePlanStore

# How long a quick wave or a planner's message takes, and how long nothing is sent twice.
_QUICK = timedelta(seconds=2)
_AGAIN = timedelta(seconds=10)


class FakeSweepStore(port.SweepStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._plans = FakePlanStore(database)

    def expire_plans(self) -> list[PlanRef]:
        rows = [row for row in self._database.opened().plans.values() if self._is_overdue(row)]
        ends = [self._plans.stop(row.request.tenant_id, row.plan_id, PlanState.EXPIRED, "sweep") for row in rows]
        return [_ref(row) for row, end in zip(rows, ends, strict=True) if end is PlanState.STOPPING]

    def unplanned(self) -> list[PlanRef]:
        database = self._database.opened()
        rows = [row for row in database.plans.values() if self._waits_for_a_planner(row)]
        for row in rows:
            row.published_at = database.now()
        return [_ref(row) for row in rows]

    def stopping(self) -> list[PlanRef]:
        return [_ref(row) for row in self._database.opened().plans.values() if row.state is PlanState.STOPPING]

    def overdue_waves(self) -> list[OverdueWave]:
        database = self._database.opened()
        untouched = database.now() - _QUICK
        rows = [row for row in database.waves.values() if row.state == "in_flight" and row.touched_at < untouched]
        return [self._look_at(row) for row in rows if row.published_at is not None]

    def waiting_tenants(self) -> list[str]:
        database = self._database.opened()
        waiting = set()
        for row in database.waves.values():
            unsent = row.state == "waiting" or (row.state == "in_flight" and row.published_at is None)
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
        if row.published_at is not None and row.published_at >= now - _AGAIN:
            return False
        dropped = row.state is PlanState.PLANNING and self._database.is_lost(row.lease)
        return dropped or (row.state is PlanState.SUBMITTED and row.submitted_at < now - _QUICK)

    def _look_at(self, row: WaveRow) -> OverdueWave:
        database = self._database
        lost = row.published_at is not None and row.published_at < database.now() - _AGAIN * 2 ** min(
            row.publish_count - 1, 6
        )
        taken_back = False
        judge = False
        tasks = database.wave_tasks(row.ref)
        for task in tasks:
            if task.state is TaskState.RUNNING and database.is_lost(task.lease):
                if task.attempt < task.task.max_attempts:
                    task.state, task.lease, taken_back = TaskState.QUEUED, None, True
                else:
                    judge = True
        judge = judge or any(task.state is TaskState.STAGED for task in tasks)
        paused = database.plan(row.ref.tenant_id, row.ref.plan_id).paused_at is not None
        publish = not paused and (taken_back or (lost and any(task.state is TaskState.QUEUED for task in tasks)))
        row.touched_at = LONG_AGO if publish else database.now()
        if publish:
            row.published_at = None
        return OverdueWave(wave=row.ref, judge=judge, publish=publish)


def _ref(row: PlanRow) -> PlanRef:
    return PlanRef(tenant_id=row.request.tenant_id, plan_id=row.plan_id)
