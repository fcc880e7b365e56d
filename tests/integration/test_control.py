"""Stopping, pausing and trying again while real workers run."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from chimera import Chimera, PlanHandle, PlanState, TaskState
from chimera.adapters.postgres.database import Database

# What is asked for holds so soon, at the latest.
SOON = timedelta(seconds=2)
SLOW = {"steps": [{"do": "slow", "seconds": 0.2} for _ in range(60)]}

Started = Callable[[UUID], list[datetime]]


@pytest.fixture
def started(swarm_owner: Database, tenant: str) -> Started:
    """When each attempt at a plan's tasks began that was staged."""

    def read(plan_id: UUID) -> list[datetime]:
        query = "select r.started_at from result r join task t using (tenant_id, task_id) where t.plan_id = %s"
        with swarm_owner.transaction(tenant) as connection:
            return [row["started_at"] for row in connection.execute(query, [plan_id])]

    return read


def await_first_result(handle: PlanHandle) -> None:
    next(event for event in handle.events(timeout=30) if event.kind == "task.decided")


def pass_until(moment: datetime) -> None:
    """Lets the time pass in which something must not happen."""
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(left)


def test_nothing_of_a_paused_plan_starts_until_it_is_resumed(chimera: Chimera, tenant: str, started: Started) -> None:
    handle = chimera.submit("test.steps", tenant=tenant, inputs=SLOW)
    await_first_result(handle)
    assert handle.pause("ana").paused
    paused_at = handle.plan.paused_at
    assert paused_at is not None
    pass_until(paused_at + SOON + timedelta(seconds=1))

    plan = handle.plan
    assert plan.standing == "running (paused)"
    assert plan.counts.open > 0
    assert plan.counts.committed > 0, "what ran was gated and committed"
    assert [state for state in states(handle) if state in {TaskState.RUNNING, TaskState.STAGED}] == []

    resumed_at = datetime.now(UTC)
    assert not handle.resume("ana").paused
    ended = handle.wait(timeout=60)
    assert (ended.state, ended.counts.committed) == (PlanState.COMPLETED, 60)
    assert [moment for moment in started(handle.plan_id) if paused_at + SOON < moment < resumed_at] == []
    assert {result.attempt for result in handle.results()} == {1}


def test_a_paused_plan_does_not_hold_up_the_tenant_s_others(chimera: Chimera, tenant: str) -> None:
    paused = chimera.submit("test.steps", tenant=tenant, inputs=SLOW)
    await_first_result(paused)
    paused.pause()
    other = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 50})
    assert other.wait(timeout=30).counts.committed == 50
    assert paused.plan.paused
    paused.cancel()
    assert paused.wait(timeout=30).state is PlanState.CANCELLED


def test_a_session_is_cancelled_whole(chimera: Chimera, tenant: str, started: Started) -> None:
    inside = [chimera.submit("test.steps", tenant=tenant, inputs=SLOW, session_id="s") for _ in range(3)]
    outside = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 50})
    await_first_result(inside[0])

    asked_at = datetime.now(UTC)
    changed = chimera.cancel(tenant=tenant, session_id="s", actor="ana")
    assert [change.plan_id for change in changed] == [handle.plan_id for handle in inside]
    for handle in inside:
        plan = handle.wait(timeout=30)
        assert plan.state is PlanState.CANCELLED
        assert plan.counts.open == 0
        assert Counter(states(handle))[TaskState.CANCELLED] > 0
    pass_until(asked_at + SOON + timedelta(seconds=1))
    assert [moment for handle in inside for moment in started(handle.plan_id) if moment > asked_at + SOON] == []
    assert outside.wait(timeout=30).counts.committed == 50
    assert chimera.cancel(tenant=tenant, session_id="s") == []


def test_a_retry_runs_what_failed_and_nothing_else(chimera: Chimera, tenant: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    names = [f"{'bad' if number % 5 == 0 else 'good'} {number}" for number in range(50)]
    handle = chimera.submit("test.journals", tenant=tenant, inputs={"folder": str(tmp_path), "names": names})
    assert handle.wait(timeout=30).counts.failed == 10

    (tmp_path / "mended").touch()
    retry = handle.retry(failed=True, actor="ana")
    assert retry.created
    ended = retry.wait(timeout=30)
    assert (ended.state, ended.counts.committed, ended.retry_of) == (PlanState.COMPLETED, 10, handle.plan_id)
    again = handle.retry(failed=True, actor="ana")
    assert (again.plan_id, again.created) == (retry.plan_id, False)

    ran = Counter((tmp_path / "journal").read_text().splitlines())
    assert ran == {name: 2 if name.startswith("bad") else 1 for name in names}
    assert [result.output for result in retry.results()] == [name for name in names if name.startswith("bad")]
    assert handle.counts.failed == 10, "a task keeps its one final decision"


def test_a_session_that_was_cancelled_is_tried_again(chimera: Chimera, tenant: str) -> None:
    handle = chimera.submit("test.steps", tenant=tenant, inputs=SLOW, session_id="s")
    await_first_result(handle)
    handle.cancel()
    done = handle.wait(timeout=30).counts.committed
    [retry] = chimera.retry(tenant=tenant, session_id="s", stopped=True)
    assert retry.wait(timeout=60).counts.committed == 60 - done


def states(handle: PlanHandle) -> list[TaskState]:
    return [result.state for result in handle.results()]
