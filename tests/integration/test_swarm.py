"""The processes around a plan: workers, sweep, beat, Flower, and what they leave in their logs."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_type_hints
from uuid import UUID

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from pytest_celery import CeleryWorkerCluster

from chimera import Chimera, PlanState
from chimera.adapters.celery import presence
from chimera.adapters.celery.messages import MESSAGES, Message
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.bootstrap import Services
from chimera.errors import QueueUnavailable
from chimera.models.work.plan import PlanRequest
from chimera.models.work.wave import Batch, WaveRef
from tests.integration.conftest import Run
from tests.integration.processes import LocalProcess
from tests.integration.skills import CANARY
from tests.integration.waiting import eventually


@pytest.fixture
def broker(project: dict[str, str]) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(project["CHIMERA_REDIS_URL"]) as client:
        yield client


def test_the_registered_tasks_and_their_options(this_process: Celery) -> None:
    tasks = {name: task for name, task in this_process.tasks.items() if name.startswith("chimera.")}

    assert set(tasks) == set(MESSAGES)
    for task in tasks.values():
        assert task.acks_late
        assert task.reject_on_worker_lost
        assert task.ignore_result
        assert task.resultrepr_maxsize == 0


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
def test_a_task_takes_what_its_message_carries(this_process: Celery, message: Message) -> None:
    task = this_process.tasks[message.task]
    parameters = signature(task.run).parameters.values()
    taken = {each.name: each.annotation for each in parameters if each.kind is not Parameter.VAR_KEYWORD}
    assert taken == get_type_hints(message.arguments)
    assert any(each.kind is Parameter.VAR_KEYWORD for each in parameters) == (message.options is not None)


def test_a_judge_consumes_its_queue_only_and_a_worker_all_tenants(run: Run, services: Services, tenant: str) -> None:
    run(planner="test.numbers", count=1)

    def queues() -> dict[str, frozenset[str]]:
        with services._app.connection_for_write() as connection:
            found = presence.workers(connection.default_channel.client)  # type: ignore[attr-defined]
        return {node.split("@")[0]: worker.queues for node, worker in found.items()}

    # What a worker has said last is a second old.
    eventually(lambda: tenant_queue(tenant) in queues()["worker"])
    assert queues()["judge"] == {"judge"}
    assert "plan" in queues()["worker"]
    assert "judge" not in queues()["worker"]


def test_a_chord_runs_in_the_threads_pool_too(this_process: Celery, tenant: str) -> None:
    with start_worker(this_process, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=30):
        steps = [{"do": "async", "text": "a"}, {"do": "say"}, {"do": "overruns"}, {"do": "raises"}]
        handle = Chimera().submit("test.steps", tenant=tenant, inputs={"steps": steps})
        plan = handle.wait(timeout=60)

    assert plan.state is PlanState.COMPLETED_WITH_FAILURES
    assert (plan.counts.committed, plan.counts.failed) == (2, 2)


def test_the_sweep_publishes_what_could_not_be_published(
    chimera: Chimera, services: Services, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(tenant_id: str, plan_id: UUID) -> None:
        raise QueueUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(services.submitting.orchestrator._queue, "publish_plan", away)
        handle = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 3})

    assert handle.wait(timeout=30).counts.committed == 3


def test_the_sweep_sends_again_what_the_broker_lost(chimera: Chimera, broker: "redis.Redis", tenant: str) -> None:
    steps = [{"do": "slow", "seconds": 0.3} for _ in range(12)]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    eventually(lambda: broker.llen(tenant_queue(tenant)))
    broker.delete(tenant_queue(tenant))

    assert handle.wait(timeout=60).counts.committed == 12


def test_the_sweep_starts_a_judge_that_did_not_come(services: Services, chimera: Chimera, tenant: str) -> None:
    """The chord's body is lost when nothing but the batch runs: here the batch runs in this process."""
    request = PlanRequest(tenant_id=tenant, planner="test.numbers", inputs={"count": 5}, trace_id="t")
    submitted = services.adapters.plans.submit(services._clock.new_id(), request)
    wave_store = services.working.planner._dispatcher._store
    services.working.planner._dispatcher._window, window = 0, services.working.planner._dispatcher._window
    try:
        services.working.planner.plan(tenant, submitted.plan_id)
        # Nothing was sent: this process takes the wave and runs it, and no body follows.
        [outgoing] = wave_store.take_next(tenant, 1)
        wave_store.mark_published([outgoing.wave], services.adapters.queue.epoch())
        staged = services.working.worker.run_batch(outgoing.wave, [task.task_id for task in outgoing.tasks], 10.0)
    finally:
        services.working.planner._dispatcher._window = window

    assert staged == 5
    handle = chimera.plan(tenant, f"pl_{submitted.plan_id.hex}")
    assert handle.wait(timeout=30).counts.committed == 5


def test_the_same_message_twice_changes_nothing(run: Run, services: Services, tenant: str) -> None:
    handle = run(planner="test.numbers", count=10)
    queue: Any = services.adapters.queue
    wave = WaveRef(tenant_id=tenant, plan_id=handle.plan_id, wave_no=0)
    ids = tuple(result.task_id for result in handle.results())
    before = len(services.adapters.plans.entries(tenant, None, 0, 1000))
    queue._batch(wave, Batch(task_ids=ids, timeout_seconds=5)).apply_async()
    queue.publish_plan(tenant, handle.plan_id)
    queue.publish_judge(wave)
    run(planner="test.numbers", count=1)  # comes after them on the same queues

    assert handle.counts.committed == 10
    assert len(services.adapters.plans.entries(tenant, handle.plan_id, 0, 1000)) == before - 1, "all but tenant.added"


def test_a_deadline_ends_a_plan(chimera: Chimera, tenant: str) -> None:
    steps = [{"do": "slow", "seconds": 0.5} for _ in range(60)]
    deadline = datetime.now(UTC) + timedelta(seconds=2)
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps}, deadline=deadline)
    plan = handle.wait(timeout=40)

    assert plan.state is PlanState.EXPIRED
    assert plan.counts.cancelled > 0
    assert plan.counts.open == 0


def test_beat_starts_plans(
    project: dict[str, str], chimera: Chimera, services: Services, tenant: str, tmp_path: Path
) -> None:
    env = project | {"TEST_BEAT_TENANT": tenant}
    arguments = ["beat", "--schedule", str(tmp_path / "schedule")]
    with LocalProcess("timed", arguments, env, tmp_path / "timed.log"):
        eventually(lambda: len(services.adapters.plans.list_plans(tenant, 10)) >= 2)

    for plan in services.adapters.plans.list_plans(tenant, 10):
        assert chimera.plan(tenant, f"pl_{plan.plan_id.hex}").wait(timeout=30).counts.committed == 2


def test_no_content_is_in_logs_or_flower(
    run: Run, celery_worker_cluster: CeleryWorkerCluster, project: dict[str, str], tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{project['CHIMERA_FLOWER_PORT']}"
    token = base64.b64encode(project["CHIMERA_FLOWER_BASIC_AUTH"].encode()).decode()

    def fetch(path: str, authorization: str | None = f"Basic {token}") -> str:
        headers = {"Authorization": authorization} if authorization else {}
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers)) as answer:
            return str(answer.read().decode())

    def plans_seen() -> int:
        return fetch("/api/tasks?limit=1000").count('"chimera.plan"')

    def seen_one_more() -> bool:
        before = plans_seen()
        run(planner="test.numbers", count=1)
        return plans_seen() > before

    flower = ["flower", "--conf=flowerconfig.py"]
    with LocalProcess("flower", flower, project, tmp_path / "flower.log", "Visit me at") as process:
        eventually(seen_one_more)  # Flower listens
        steps = [{"do": do, "text": CANARY} for do in ("say", "raises", "wrong_type", "async", "nothing", "nan")]
        run(*steps, {"do": "say", "text": CANARY, "confidence": 0.1})
        run(planner="test.raises", count=1)
        eventually(seen_one_more)
        shown = fetch("/api/tasks?limit=1000")
        shown += "".join(fetch(f"/task/{uuid}") for uuid in json.loads(shown))
        for path in ("/api/tasks", "/", "/tasks"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                fetch(path, None)
        flower_log = process.logs()

    logs = [node.logs() for node in celery_worker_cluster] + [flower_log]
    secrets = [value.split("@")[0].split(":")[-1] for name, value in project.items() if name.endswith("_URL")]
    for text in (shown, *logs):
        assert CANARY not in text
        for secret in secrets:
            assert secret not in text


def test_logs_are_json_with_the_ids(run: Run, celery_worker_cluster: CeleryWorkerCluster, tenant: str) -> None:
    handle = run(planner="test.numbers", count=1)
    judge = next(node for node in celery_worker_cluster if node.name() == "judge")

    def lines() -> list[dict[str, object]]:
        # The last one may be half written.
        logged = [
            json.loads(line)
            for line in judge.logs().splitlines(keepends=True)
            if line.startswith("{") and line.endswith("\n")
        ]
        return [line for line in logged if (line.get("plan_id"), line["event"]) == (handle.id, "wave_judged")]

    eventually(lines)  # it is said after it is done
    [judged] = lines()
    assert judged["tenant_id"] == tenant
    assert judged["wave_no"] == 0
    assert judged["trace_id"] == handle.plan.trace_id
    assert judged["celery_task"] == "chimera.judge"
