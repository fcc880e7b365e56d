"""The outbox of the fan-out, in memory."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta

from chimera.models.work.timing import SENDER_SECONDS
from chimera.models.work.wave import QueuedTask, WaveRef, WaveState
from chimera.ports import wave_store as port
from chimera.ports.wave_store import OutgoingWave
from tests.fakes import budgeting
from tests.fakes.database import LONG_AGO, FakeDatabase, WaveRow


class FakeWaveStore(port.WaveStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def take_next(self, tenant_id: str, window: int) -> list[OutgoingWave]:
        database = self._database.opened()
        waves = [row for ref, row in database.waves.items() if ref.tenant_id == tenant_id]
        waves.sort(key=lambda row: (-row.priority, row.ref.plan_id, row.ref.wave_no))
        in_flight = [row for row in waves if row.state is WaveState.IN_FLIGHT]
        counted = [row for row in in_flight if not self._is_paused(row) and not row.waits_for_skill]
        stuck = Counter(row.ref.plan_id for row in in_flight if row.waits_for_skill)
        unsent = [row for row in waves if self._is_unsent(row)]
        may_go = [row for row in waves if self._may_go(row) and stuck[row.ref.plan_id] < window]
        taken = may_go[: max(0, window - len(counted))] + unsent
        for row in taken:
            row.state = WaveState.IN_FLIGHT
            row.touched_at = database.now()
        if database.policy(tenant_id).policy.budget is not None:
            return self._within_budget(tenant_id, waves, taken)
        for row in waves:
            if row.budget_waits:
                row.budget_waits, row.published_at, row.touched_at = False, None, LONG_AGO
        return [self._outgoing(row, self._queued(row.ref)) for row in waves if row in taken]

    def max_batches(self, skills: Collection[str]) -> dict[str, int]:
        declared = sorted(self._database.opened().skills.values(), key=lambda skill: skill.last_seen)
        return {skill.name: skill.max_batch for skill in declared if skill.name in skills}

    def mark_published(self, waves: Sequence[WaveRef], epoch: str, waiting: Collection[WaveRef] = ()) -> None:
        database = self._database.opened()
        for wave in waves:
            row = database.waves[wave]
            row.published_at = row.touched_at = database.now()
            row.publish_count += 1
            row.epoch = epoch
            if wave in waiting and row.skill_waits_since is None:
                row.skill_waits_since = database.now()

    def _within_budget(self, tenant_id: str, waves: list[WaveRow], taken: list[WaveRow]) -> list[OutgoingWave]:
        database = self._database
        waiting = [row for row in waves if row not in taken and self._waits(row)]
        looked_at = [row for row in waves if row in taken or row in waiting]
        granted = budgeting.allot_waves(database, tenant_id, looked_at)
        outgoing = []
        for row in looked_at:
            rows = budgeting.queued(database, row.ref)
            refused = any(task.over_budget is not None for task in rows)
            got = any(task.task.task_id in granted for task in rows)
            if row in waiting and got:
                row.published_at, row.touched_at, row.publish_count = (
                    None,
                    database.now(),
                    max(row.publish_count - 1, 0),
                )
            ready = {
                task.task.task_id
                for task in rows
                if task.reserved_for == task.attempt + 1 and (row in taken or task.task.task_id in granted)
            }
            if row in taken or got or refused:
                tasks = tuple(task for task in self._queued(row.ref) if task.task_id in ready)
                outgoing.append(self._outgoing(row, tasks, judge=refused))
        return outgoing

    def _outgoing(self, row: WaveRow, tasks: tuple[QueuedTask, ...], *, judge: bool = False) -> OutgoingWave:
        trace_id = self._database.plan(row.ref.tenant_id, row.ref.plan_id).request.trace_id
        return OutgoingWave(wave=row.ref, tasks=tasks, judge=judge, trace_id=trace_id)

    def _waits(self, row: WaveRow) -> bool:
        in_flight = row.state is WaveState.IN_FLIGHT and row.published_at is not None
        goes_on = self._database.plan(row.ref.tenant_id, row.ref.plan_id).goes_on
        return row.budget_waits and in_flight and goes_on

    def _may_go(self, row: WaveRow) -> bool:
        database = self._database
        plan = database.plan(row.ref.tenant_id, row.ref.plan_id)
        tasks = database.wave_tasks(row.ref)
        return row.state is WaveState.WAITING and plan.goes_on and all(database.may_run(each.task) for each in tasks)

    def _is_paused(self, row: WaveRow) -> bool:
        return self._database.plan(row.ref.tenant_id, row.ref.plan_id).paused_at is not None

    def _is_unsent(self, row: WaveRow) -> bool:
        left = row.state is WaveState.IN_FLIGHT and row.published_at is None
        return (
            left
            and not self._is_paused(row)
            and row.touched_at < self._database.now() - timedelta(seconds=SENDER_SECONDS)
        )

    def _queued(self, wave: WaveRef) -> tuple[QueuedTask, ...]:
        rows = [row for row in self._database.wave_tasks(wave) if row.waits]
        return tuple(
            QueuedTask(
                task_id=row.task.task_id,
                skill=row.task.skill,
                timeout_seconds=row.task.timeout_seconds,
                alone=row.runs_alone,
            )
            for row in rows
        )
