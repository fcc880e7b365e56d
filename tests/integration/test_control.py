"""Stopping, pausing and trying again while real workers run."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pytest_celery import CeleryWorkerCluster

from chimera import Chimera, PlanHandle, PlanState, TaskState
from chimera.adapters.postgres.database import Database
from chimera.bootstrap import Services
from chimera.models.work.plan import ENDED, Plan

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


def sent_by_beat(services: Services, tenant: str, **fields: object) -> None:
    """What beat sends where a schedule names a planner."""
    request = {"tenant_id": tenant, "planner": "test.numbers", "inputs": {"count": 3}} | fields
    services._app.send_task("chimera.submit", kwargs=request, queue="plan", ignore_result=True)


def plans_of(services: Services, tenant: str) -> list[Plan]:
    return services.adapters.plans.list_plans(tenant, 100)


def test_a_session_holds_its_plans_and_those_to_come(chimera: Chimera, services: Services, tenant: str) -> None:
    first = chimera.submit("test.steps", tenant=tenant, inputs=SLOW, session_id="s")
    await_first_result(first)
    chimera.pause_session(tenant=tenant, session_id="s", actor="ana")
    by_hand = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 3}, session_id="s")
    sent_by_beat(services, tenant, session_id="s")
    sent_by_beat(services, tenant, session_id="t")
    await_until(lambda: any(plan.session_id == "t" and plan.state in ENDED for plan in plans_of(services, tenant)))
    await_until(lambda: len(plans_of(services, tenant)) == 4)
    waiting = [plan for plan in plans_of(services, tenant) if plan.session_id == "s"]
    assert {(plan.paused, plan.paused_by) for plan in waiting} == {(True, "ana")}
    assert by_hand.status is PlanState.SUBMITTED

    resumed = chimera.resume_session(tenant=tenant, session_id="s", actor="ana")
    assert {change.plan_id for change in resumed.plans} == {plan.plan_id for plan in waiting}
    for plan in waiting:
        ended = PlanHandle(services, tenant, plan.plan_id).wait(timeout=60)
        assert ended.state is PlanState.COMPLETED


def test_a_stopped_session_refuses_what_beat_sends(
    chimera: Chimera, services: Services, tenant: str, celery_worker_cluster: CeleryWorkerCluster
) -> None:
    running = chimera.submit("test.steps", tenant=tenant, inputs=SLOW, session_id="s")
    await_first_result(running)
    chimera.stop_session(tenant=tenant, session_id="s", actor="ana")
    assert running.wait(timeout=30).state is PlanState.CANCELLED
    sent_by_beat(services, tenant, session_id="s")
    worker = celery_worker_cluster.nodes[0]
    await_until(lambda: any("plan_refused" in line and tenant in line for line in worker.logs().splitlines()))
    refusal = next(line for line in worker.logs().splitlines() if "plan_refused" in line and tenant in line)
    assert "SessionStopped" in refusal
    assert "Traceback" not in refusal
    assert [plan.plan_id for plan in plans_of(services, tenant)] == [running.plan_id]


def await_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)
