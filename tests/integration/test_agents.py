"""Agents of real workers: what the registry shows of them, whatever happens to them or to Redis."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker

from chimera import Chimera, bootstrap
from chimera.adapters.celery import presence
from chimera.adapters.celery.queue_names import tenant_queue
from chimera.bootstrap import Services
from chimera.models.work.agent import BEAT_SECONDS, OFFLINE_AFTER_SECONDS, Agent, AgentStatus
from chimera.ports.agent_registry import AgentRegistry
from tests.integration.conftest import QUIET, services_with
from tests.integration.processes import LocalProcess
from tests.integration.waiting import eventually

BUSY, OFFLINE = AgentStatus.BUSY, AgentStatus.OFFLINE
FREE = {AgentStatus.IDLE, AgentStatus.ACTIVE}
# One beat that was just missed, three beats, and what it takes to look.
DEAD_WITHIN_SECONDS = OFFLINE_AFTER_SECONDS + BEAT_SECONDS


@pytest.fixture(scope="module")
def variables(servers: dict[str, str], project: dict[str, str]) -> dict[str, str]:
    """Broker databases of these tests' own: they are flushed, and their workers killed."""
    return project | {"CHIMERA_REDIS_URL": servers["CHIMERA_REDIS_URL"].removesuffix("/0") + "/2"}


@pytest.fixture(scope="module")
def here(variables: dict[str, str]) -> Services:
    return services_with({"CHIMERA_REDIS_URL": variables["CHIMERA_REDIS_URL"]})


@pytest.fixture
def broker(variables: dict[str, str]) -> Iterator["redis.Redis"]:
    with closing(redis.Redis.from_url(variables["CHIMERA_REDIS_URL"])) as client:
        client.flushdb()
        yield client


@pytest.fixture
def agents(here: Services, broker: "redis.Redis") -> AgentRegistry:
    return here.adapters.agents


@pytest.fixture
def worker(
    agents: AgentRegistry, variables: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[LocalProcess]:
    """A worker that does everything, of two children."""
    arguments = ["worker", "-c", "2", "-n", "everything@test", *QUIET]
    with LocalProcess("everything", arguments, variables, tmp_path / "worker.log") as process:
        eventually(lambda: len(living(agents)) == 2)
        yield process
    if request.node.name != test_a_worker_that_is_killed_is_offline_within_three_beats.__name__:
        assert {agent.status for agent in agents.list_agents()} == {OFFLINE}, "it said goodbye"
    assert "agents_beat_failed" not in process.logs()


def living(agents: AgentRegistry) -> list[Agent]:
    return [agent for agent in agents.list_agents() if agent.status is not OFFLINE]


def busy(agents: AgentRegistry) -> list[Agent]:
    return agents.list_agents(status=BUSY)


def slow(seconds: float, count: int) -> dict[str, object]:
    return {"steps": [{"do": "slow", "seconds": seconds} for _ in range(count)]}


def test_agents_show_what_they_run_and_are_those_that_stage(
    worker: LocalProcess, agents: AgentRegistry, here: Services, tenant: str
) -> None:
    first, second = living(agents)
    assert first.node == second.node == "everything@test"
    assert first.process_id == second.process_id
    assert worker.pid not in {first.pid, second.pid}
    assert first.tenants is None
    assert {"test.slow", "test.say"} <= set(first.skills)
    assert agents.workforce().slots(tenant) == 2

    handle = Chimera(here).submit("test.steps", tenant=tenant, inputs=slow(2.0, 2))
    eventually(lambda: len(busy(agents)) == 2)
    for agent in busy(agents):
        assert agent.running is not None
        assert (agent.running.tenant_id, agent.running.plan_id) == (tenant, handle.plan_id)
        assert (agent.running.wave_no, agent.running.tasks) == (0, 1)
    claimed_by = _agents_of_running_tasks(here, tenant)
    assert claimed_by == {first.agent_id, second.agent_id}
    handle.wait(timeout=30)
    eventually(lambda: not busy(agents))
    assert [agent.status for agent in living(agents)] == [AgentStatus.ACTIVE] * 2
    assert [agent.batches for agent in living(agents)] == [1, 1]
    for agent in living(agents):
        assert (agent.metrics.tasks_done, agent.metrics.tasks_failed) == (1, 0)
        assert 1.5 < agent.metrics.busy_seconds < 30
        assert agent.metrics.memory_bytes is not None
        assert agent.metrics.memory_bytes > 2**20

    Chimera(here).submit("test.steps", tenant=tenant, inputs={"steps": [{"do": "refuses"}]}).wait(timeout=30)
    eventually(lambda: sum(agent.metrics.tasks_failed for agent in living(agents)) == 1)


def test_a_child_that_is_killed_is_offline_and_another_takes_its_place(
    worker: LocalProcess, agents: AgentRegistry, here: Services, tenant: str
) -> None:
    Chimera(here).submit("test.steps", tenant=tenant, inputs=slow(1.0, 2)).wait(timeout=30)
    eventually(lambda: [agent.metrics.tasks_done for agent in living(agents)] == [1, 1])
    handle = Chimera(here).submit("test.steps", tenant=tenant, inputs=slow(3.0, 1))
    eventually(lambda: busy(agents))
    [victim] = busy(agents)
    before = {agent.agent_id for agent in living(agents)}
    os.kill(victim.pid, signal.SIGKILL)
    assert eventually(lambda: agents.get(victim.agent_id).status is OFFLINE) <= 3 * BEAT_SECONDS
    eventually(lambda: len(living(agents)) == 2)
    assert victim.agent_id not in {agent.agent_id for agent in living(agents)}
    [heir] = [agent for agent in living(agents) if agent.agent_id not in before]
    assert heir.metrics.tasks_done == 0, "what its predecessor did is not its own"
    eventually(lambda: victim.agent_id not in agents.standing([victim.agent_id]).alive)
    Chimera(here).plan(tenant, f"pl_{handle.plan_id.hex}").cancel()


def test_a_worker_that_is_killed_is_offline_within_three_beats(worker: LocalProcess, agents: AgentRegistry) -> None:
    worker.kill()
    assert eventually(lambda: not living(agents)) <= DEAD_WITHIN_SECONDS
    assert len(agents.list_agents(status=OFFLINE)) == 2


def test_all_are_back_within_a_beat_or_so_after_redis_lost_everything(
    worker: LocalProcess, agents: AgentRegistry, broker: "redis.Redis"
) -> None:
    before = {agent.agent_id for agent in living(agents)}
    broker.flushdb()
    took = eventually(lambda: len(living(agents)) == 2)
    assert {agent.agent_id for agent in living(agents)} == before
    assert took <= 2 * BEAT_SECONDS


def test_a_worker_that_drains_finishes_what_it_runs_and_takes_nothing_new(
    worker: LocalProcess, agents: AgentRegistry, here: Services, broker: "redis.Redis", tenant: str
) -> None:
    chimera = Chimera(here)
    running = chimera.submit("test.steps", tenant=tenant, inputs=slow(3.0, 1))
    eventually(lambda: busy(agents))
    assert agents.drain("everything@test", draining=True) == 2
    assert agents.workforce().slots(tenant) == 0
    eventually(lambda: "agents_drain" in worker.logs())
    eventually(lambda: worker.logs().count("Canceling queue") >= 3)
    waiting = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 1})
    eventually(lambda: not busy(agents))
    assert running.counts.open == 1, "it is staged, and its Judge waits: this worker judges too"
    eventually(lambda: broker.llen("plan") and broker.llen("judge"))

    # What it was told holds through the loss of everything; the plans are sent again by the sweep, of which there
    # is none here: so the queues are put back.
    queued = {name: broker.lrange(name, 0, -1) for name in ("plan", "judge")}
    broker.flushdb()
    eventually(lambda: len(living(agents)) == 2)
    assert all(agent.draining for agent in living(agents))
    for name, messages in queued.items():
        broker.rpush(name, *messages)
    assert agents.drain(living(agents)[0].agent_id, draining=False) == 2
    assert waiting.wait(timeout=30).counts.committed == 1
    assert running.wait(timeout=30).counts.committed == 1


def test_a_worker_of_named_tenants_drains_too(
    agents: AgentRegistry, here: Services, variables: dict[str, str], tenant: str, tmp_path: Path
) -> None:
    arguments = ["worker", "-Q", f"plan,judge,{tenant_queue(tenant)}", "-c", "1", "-n", "named@test", *QUIET]
    with LocalProcess("named", arguments, variables, tmp_path / "worker.log") as process:
        eventually(lambda: living(agents))
        assert living(agents)[0].tenants == (tenant,)
        agents.drain("named@test", draining=True)
        eventually(lambda: process.logs().count("Canceling queue") == 3)
        handle = Chimera(here).submit("test.numbers", tenant=tenant, inputs={"count": 1})
        agents.drain("named@test", draining=False)
        assert handle.wait(timeout=30).counts.committed == 1


def test_a_worker_that_only_judges_has_no_agents(
    agents: AgentRegistry, here: Services, variables: dict[str, str], tmp_path: Path
) -> None:
    arguments = ["worker", "-Q", "judge", "-c", "1", "-n", "judge@test", *QUIET]
    with LocalProcess("judge", arguments, variables, tmp_path / "judge.log"):
        # It beats before it consumes, if it does: now it is there.
        with here._app.connection_for_write() as connection:
            client = connection.default_channel.client  # type: ignore[attr-defined]
            eventually(lambda: presence.workers(client))
        assert agents.list_agents() == []


def test_agents_of_the_threads_pool(this_process: Celery, tenant: str) -> None:
    agents = bootstrap.services().adapters.agents
    with start_worker(
        this_process, pool="threads", concurrency=3, perform_ping_check=False, shutdown_timeout=30, hostname="t@test"
    ):
        eventually(lambda: len(agents.list_agents(node="t@test")) == 3)
        handle = Chimera().submit("test.steps", tenant=tenant, inputs=slow(2.0, 2))
        eventually(lambda: len(agents.list_agents(node="t@test", status=BUSY)) == 2)
        for agent in agents.list_agents(node="t@test", status=BUSY):
            assert agent.pid == os.getpid()
            assert agent.running is not None
            assert agent.running.plan_id == handle.plan_id
        handle.wait(timeout=60)
        eventually(lambda: {agent.status for agent in agents.list_agents(node="t@test")} <= FREE)
        assert sum(agent.batches for agent in agents.list_agents(node="t@test")) == 2
        assert sum(agent.metrics.tasks_done for agent in agents.list_agents(node="t@test")) == 2
        assert sum(agent.metrics.busy_seconds for agent in agents.list_agents(node="t@test")) > 3
    assert {agent.status for agent in agents.list_agents(node="t@test")} == {OFFLINE}


def _agents_of_running_tasks(here: Services, tenant: str) -> set[object]:
    """The agents that hold the leases of the tenant's tasks."""
    with here.adapters._as_owner.transaction(tenant) as connection:
        rows = connection.execute("select agent_id from task where state = 'running'").fetchall()
    return {row["agent_id"] for row in rows}
