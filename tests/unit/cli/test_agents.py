import json
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import pytest

from chimera.models.ids import short_id
from chimera.models.work.agent import AgentMetrics, AgentSlot, AgentStatus, AgentWork, ProcessBeat
from tests.exhaustive import Some
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

JSON = ("-o", "json")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORK = AgentWork(tenant_id="acme", plan_id=UUID(int=5), wave_no=3, tasks=20, since=NOW)
METRICS = AgentMetrics(tasks_done=70, tasks_failed=3, busy_seconds=12.25, memory_bytes=50 * 2**20)


@pytest.fixture
def beat(services: FakeServices) -> ProcessBeat:
    """A worker of two agents: one runs a batch."""
    slots = (
        AgentSlot(agent_id=UUID(int=1), pid=11, status=AgentStatus.BUSY, running=WORK, batches=4, metrics=METRICS),
        AgentSlot(agent_id=UUID(int=2), pid=12, status=AgentStatus.IDLE),
    )
    beat = ProcessBeat(process_id=uuid4(), node="worker@a", skills=("echo",), started_at=NOW, slots=slots)
    services.adapters.agents.register(beat)
    return beat


def test_list(run: Run, beat: ProcessBeat) -> None:
    head, busy, idle = run("agents", "list").out.splitlines()
    assert head.split() == ["AGENT", "NODE", "STATE", "RUNNING", "BATCHES", "SEEN"]
    plan = f"pl_{UUID(int=5).hex}"
    assert busy.split()[:9] == [
        f"ag_{UUID(int=1).hex}", "worker@a", "busy", "20", "tasks", "of", "acme", plan, "wave",
    ]  # fmt: skip
    assert idle.split()[:4] == [f"ag_{UUID(int=2).hex}", "worker@a", "idle", "0"]


def test_list_of_a_status_or_a_node(run: Run, beat: ProcessBeat) -> None:
    [busy] = run("agents", "list", "--status", "BUSY", *JSON).json
    assert (busy["agent_id"], busy["status"], busy["tenants"]) == (f"ag_{UUID(int=1).hex}", "busy", None)
    assert busy["running"]["plan_id"] == f"pl_{UUID(int=5).hex}"
    assert run("agents", "list", "--node", "worker@b", *JSON).json == []
    assert run("agents", "list", "--status", "offline", "--node", "worker@b").err == "no offline agents of worker@b\n"
    assert run("agents", "list", "--limit", "1").err == "the first 1; --limit shows more\n"
    assert run("agents", "list", "--status", "asleep").code == 2


def test_those_gone_for_more_than_a_minute_are_listed_with_all(
    run: Run, beat: ProcessBeat, services: FakeServices
) -> None:
    services.adapters._fake_clock.advance(59)
    assert len(run("agents", "list", *JSON).json) == 2
    services.adapters._fake_clock.advance(2)
    assert run("agents", "list", *JSON).json == []
    assert [agent["status"] for agent in run("agents", "list", "--all", *JSON).json] == ["offline"] * 2


def test_a_short_id_or_a_prefix_is_taken(run: Run, services: FakeServices, some: Some) -> None:
    # An agent's id is made of its process's: nothing of it is a time.
    ids = [uuid5(NAMESPACE_OID, str(number)) for number in range(20)]
    slots = tuple(AgentSlot(agent_id=each, pid=number + 1, status=AgentStatus.IDLE) for number, each in enumerate(ids))
    beat = ProcessBeat(process_id=uuid4(), node="worker@a", skills=("echo",), started_at=NOW, slots=slots)
    services.adapters.agents.register(beat)
    for each in some(ids, 4):
        whole = f"ag_{each.hex}"
        for text in (short_id(whole), whole[: 3 + 8], each.hex[:9], str(each), whole):
            assert run("agents", "show", text, *JSON).json["agent_id"] == whole
    assert run("agents", "drain", short_id(f"ag_{ids[0].hex}"), *JSON).json["agents"] == 20
    missing = run("agents", "show", "ag_ffffffffffff")
    assert (missing.code, missing.err) == (3, "error: there is no agent ag_ffffffffffff\n")
    assert run("agents", "show", "ag_1").code == 2


def test_without_workers_there_are_none(run: Run) -> None:
    assert run("agents", "list").err == "no agents\n"


def test_show(run: Run, beat: ProcessBeat) -> None:
    ran = run("agents", "show", f"ag_{UUID(int=1).hex}")
    assert "worker@a, process 11" in ran.out
    assert "20 tasks of acme" in ran.out
    assert "70 done, 3 failed" in ran.out
    assert "12 s" in ran.out
    assert "50 MiB, of its process" in ran.out
    shown = run("agents", "show", f"ag_{UUID(int=1).hex}", *JSON).json
    assert shown["metrics"] == METRICS.model_dump()
    assert ran.err == "next: chimera agents drain worker@a\n"
    assert run("agents", "show", f"ag_{UUID(int=2).hex}", *JSON).json["running"] is None


@pytest.mark.parametrize("what", ["show", "drain"])
def test_what_is_not_there_is_not_found(run: Run, what: str) -> None:
    ran = run("agents", what, f"ag_{uuid4().hex}", *JSON)
    assert ran.code == 3
    assert json.loads(ran.err.splitlines()[-1]) == {"error": "There is no such agent.", "code": "AgentNotFound"}
    assert run("agents", what, "ag_1").code == 2


def test_an_agent_drains_with_its_worker(run: Run, beat: ProcessBeat, services: FakeServices) -> None:
    ran = run("agents", "drain", f"ag_{UUID(int=2).hex}")
    assert ran.out.split()[-2:] == ["drains", "2"]
    assert "with the worker process that it belongs to" in ran.err
    assert services.adapters.agents.heartbeat(beat) is True
    assert "busy, drains" in run("agents", "list").out
    undone = run("agents", "drain", "worker@a", "--undo", *JSON).json
    assert undone == {"target": "worker@a", "draining": False, "agents": 2}
    assert services.adapters.agents.heartbeat(beat) is False
    assert "takes work again" in run("agents", "drain", "worker@a", "--undo").out


def test_a_worker_that_is_offline_has_nothing_to_drain(run: Run, beat: ProcessBeat, services: FakeServices) -> None:
    services.adapters.agents.leave(beat.process_id)
    ran = run("agents", "drain", "worker@a")
    assert (ran.code, ran.out, ran.err) == (0, "", "worker@a is offline: there is nothing to drain\n")
    assert run("agents", "drain", "worker@b").code == 3


def test_without_redis(run: Run, services: FakeServices) -> None:
    services.adapters.agents.available = False
    ran = run("agents", "list")
    assert ran.code == 1
    assert "CHIMERA_REDIS_URL" in ran.err
