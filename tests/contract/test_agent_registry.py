"""The registry of agents: what beats make of it, and what is left when they stop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis

from chimera.adapters.embedded.ports import free_port
from chimera.adapters.redis.agent_registry import PREFIX, AgentRegistry
from chimera.adapters.redis.connection import connect
from chimera.adapters.redis.every_registry import EveryRegistry, own_registry
from chimera.adapters.system_clock import SystemClock
from chimera.errors import AgentNotFound, QueueUnavailable
from chimera.models.work.agent import (
    FORGOTTEN_AFTER_SECONDS,
    OFFLINE_AFTER_SECONDS,
    AgentMetrics,
    AgentSlot,
    AgentStatus,
    AgentWork,
    ProcessBeat,
    agent_id,
)
from chimera.models.work.workforce import Crew, Workforce
from chimera.ports import agent_registry as port
from tests.fakes import FakeAgentRegistry, FakeClock

# A database of its own on the tests' server.
DATABASE = 8
STARTED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORK = AgentWork(tenant_id="acme", plan_id=UUID(int=7), wave_no=2, tasks=20, since=STARTED_AT)
BUSY, ACTIVE, IDLE, OFFLINE = AgentStatus.BUSY, AgentStatus.ACTIVE, AgentStatus.IDLE, AgentStatus.OFFLINE


class Registry(ABC):
    """A registry, and what only a test may do to it."""

    agents: port.AgentRegistry

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Makes everything that it knows older by so much."""

    @abstractmethod
    def lose_everything(self) -> None:
        """What FLUSHALL does, or a restart without persistence."""


class FakeRegistry(Registry):
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.agents = self._fake = FakeAgentRegistry(self._clock)

    def pass_time(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def lose_everything(self) -> None:
        self._fake.lose_everything()


class RedisRegistry(Registry):
    def __init__(self, client: redis.Redis, agents: port.AgentRegistry) -> None:
        self._client = client
        self.agents = agents

    def pass_time(self, seconds: float) -> None:
        by = -int(seconds * 1000)
        for process in self._client.hkeys(f"{PREFIX}beats"):
            self._client.zincrby(f"{PREFIX}seen", by, process)
        for name in self._client.hkeys(f"{PREFIX}pulse"):
            self._client.hincrby(f"{PREFIX}pulse", name, by)

    def lose_everything(self) -> None:
        self._client.flushdb()


@pytest.fixture
def redis_url(servers: dict[str, str]) -> str:
    return urlsplit(servers["CHIMERA_REDIS_URL"])._replace(path=f"/{DATABASE}").geturl()


@pytest.fixture
def redis_registry(redis_url: str) -> Iterator[RedisRegistry]:
    with connect(redis_url, {}) as client:
        client.flushdb()
        yield RedisRegistry(client, AgentRegistry(client))


@pytest.fixture
def every_registry(redis_url: str) -> Iterator[RedisRegistry]:
    """With a tenant that has a registry of its own, in which nobody is."""
    with connect(redis_url, {}) as client:
        client.flushdb()
        yield RedisRegistry(client, EveryRegistry(client, lambda: {"other"}))


@pytest.fixture(params=["fake", "redis", "every"])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "fake":
        return FakeRegistry()
    real: RedisRegistry = request.getfixturevalue(f"{request.param}_registry")
    return real


@pytest.fixture
def agents(registry: Registry) -> port.AgentRegistry:
    return registry.agents


def beat(*statuses: AgentStatus, node: str = "worker@a", draining: bool = False) -> ProcessBeat:
    """A new process with an agent for each status."""
    process_id = SystemClock().new_id()
    slots = tuple(
        AgentSlot(
            agent_id=agent_id(process_id, 100 + place, 0),
            pid=100 + place,
            status=status,
            running=WORK if status is BUSY else None,
            batches=place,
            metrics=AgentMetrics(tasks_done=place, tasks_failed=1, busy_seconds=0.5, memory_bytes=2**20),
        )
        for place, status in enumerate(statuses)
    )
    return ProcessBeat(process_id=process_id, node=node, started_at=STARTED_AT, draining=draining, slots=slots)


def ids(beat: ProcessBeat) -> list[UUID]:
    return [slot.agent_id for slot in beat.slots]


def slots(agents: port.AgentRegistry) -> int:
    return agents.workforce().slots("acme")


def test_at_first_there_is_no_agent_and_nobody_works(agents: port.AgentRegistry) -> None:
    assert agents.list_agents() == []
    assert agents.workforce() == Workforce()
    with pytest.raises(AgentNotFound):
        agents.get(uuid4())


def test_an_agent_is_as_its_process_said(agents: port.AgentRegistry) -> None:
    said = beat(IDLE, BUSY).model_copy(update={"tenants": ("acme",), "skills": ("echo", "slow")})
    agents.register(said)
    agent = agents.get(ids(said)[1])
    assert (agent.agent_id, agent.process_id, agent.node, agent.pid) == (ids(said)[1], said.process_id, "worker@a", 101)
    assert (agent.tenants, agent.skills, agent.started_at) == (("acme",), ("echo", "slow"), STARTED_AT)
    assert (agent.status, agent.draining, agent.running, agent.batches) == (BUSY, False, WORK, 1)
    assert agent.metrics == AgentMetrics(tasks_done=1, tasks_failed=1, busy_seconds=0.5, memory_bytes=2**20)
    assert agent.last_seen.tzinfo is UTC
    assert agents.list_agents()[1] == agent


def test_the_next_beat_says_what_is_now(agents: port.AgentRegistry) -> None:
    said = beat(BUSY, IDLE)
    agents.register(said)
    free = said.slots[0].model_copy(update={"status": ACTIVE, "running": None, "batches": 9})
    assert agents.heartbeat(said.model_copy(update={"slots": (free,)})) is False
    [agent] = agents.list_agents()
    assert (agent.status, agent.running, agent.batches) == (ACTIVE, None, 9)
    with pytest.raises(AgentNotFound):
        agents.get(ids(said)[1])


def test_a_process_that_missed_three_beats_is_offline_and_runs_nothing(registry: Registry) -> None:
    agents, said, other = registry.agents, beat(BUSY, IDLE), beat(IDLE)
    agents.register(said)
    seen = agents.get(ids(said)[0]).last_seen
    registry.pass_time(OFFLINE_AFTER_SECONDS - 1)
    agents.register(other)
    assert agents.get(ids(said)[0]).status is BUSY
    registry.pass_time(1.5)
    assert [(agent.status, agent.running) for agent in agents.list_agents()][:2] == [(OFFLINE, None)] * 2
    assert slots(agents) == 1
    assert agents.heartbeat(said) is False
    assert agents.get(ids(said)[0]).status is BUSY
    assert agents.get(ids(said)[0]).last_seen >= seen


def test_a_process_that_left_is_offline_at_once_until_it_beats_again(agents: port.AgentRegistry) -> None:
    said = beat(IDLE)
    agents.register(said)
    agents.leave(said.process_id)
    assert agents.get(ids(said)[0]).status is OFFLINE
    assert agents.drain("worker@a", draining=True) == 0
    assert agents.heartbeat(said) is False
    assert agents.get(ids(said)[0]).status is IDLE
    agents.leave(uuid4())


def test_a_child_that_is_gone_is_offline_while_its_siblings_work(agents: port.AgentRegistry) -> None:
    said = beat(OFFLINE, IDLE)
    agents.register(said)
    assert [agent.status for agent in agents.list_agents()] == [OFFLINE, IDLE]
    assert slots(agents) == 1


def test_after_an_hour_an_offline_agent_is_forgotten(registry: Registry) -> None:
    agents, gone, here = registry.agents, beat(IDLE, IDLE), beat(IDLE)
    agents.register(gone)
    registry.pass_time(FORGOTTEN_AFTER_SECONDS - 10)
    agents.register(here)
    assert len(agents.list_agents()) == 3
    registry.pass_time(20)
    agents.heartbeat(here)
    assert [agent.agent_id for agent in agents.list_agents()] == ids(here)
    for lost in ids(gone):
        with pytest.raises(AgentNotFound):
            agents.get(lost)


@pytest.mark.parametrize("status", AgentStatus)
def test_agents_of_a_status(registry: Registry, status: AgentStatus) -> None:
    agents = registry.agents
    agents.register(beat(BUSY, IDLE))
    registry.pass_time(OFFLINE_AFTER_SECONDS + 1)
    for statuses in ((BUSY, IDLE, ACTIVE), (IDLE, OFFLINE), (BUSY, BUSY)):
        agents.register(beat(*statuses))
    found = agents.list_agents(status=status)
    assert {agent.status for agent in found} == {status}
    assert len(found) == {BUSY: 3, IDLE: 2, ACTIVE: 1, OFFLINE: 3}[status]
    assert agents.list_agents(status=status, limit=1) == found[:1]


def test_agents_of_a_node(agents: port.AgentRegistry) -> None:
    first, second, other = beat(IDLE), beat(IDLE, BUSY), beat(IDLE, node="worker@b")
    for said in (first, second, other):
        agents.register(said)
    assert [agent.agent_id for agent in agents.list_agents(node="worker@a")] == ids(first) + ids(second)
    assert [agent.status for agent in agents.list_agents(node="worker@a", status=BUSY)] == [BUSY]
    assert agents.list_agents(node="worker@c") == []


@pytest.mark.parametrize("node", [None, "worker@a"])
@pytest.mark.parametrize("status", [None, IDLE])
def test_pages_show_each_agent_once_in_the_order_of_the_starts(
    agents: port.AgentRegistry, node: str | None, status: AgentStatus | None
) -> None:
    said = [beat(*[IDLE, BUSY, IDLE][: 1 + number % 3]) for number in range(7)]
    for each in reversed(said):
        agents.register(each)
    expected = [slot.agent_id for each in said for slot in each.slots if status in {None, slot.status}]
    shown: list[UUID] = []
    while page := agents.list_agents(status=status, node=node, after=shown[-1] if shown else None, limit=2):
        assert len(page) <= 2
        shown += [agent.agent_id for agent in page]
    assert shown == expected
    with pytest.raises(AgentNotFound):
        agents.list_agents(after=uuid4())


def test_drain_is_told_with_the_next_beat_and_taken_back(agents: port.AgentRegistry) -> None:
    said, other = beat(BUSY, IDLE, OFFLINE), beat(IDLE, node="worker@b")
    agents.register(said)
    agents.register(other)
    assert slots(agents) == 3
    assert agents.drain("worker@a", draining=True) == 2
    assert slots(agents) == 1
    assert [agent.draining for agent in agents.list_agents()] == [True, True, True, False]
    assert agents.heartbeat(said) is True
    remembering = said.model_copy(update={"draining": True})
    assert agents.heartbeat(remembering) is True
    assert agents.heartbeat(other) is False
    # An agent stands for its whole process.
    assert agents.drain(ids(said)[1], draining=False) == 2
    assert agents.heartbeat(remembering) is False
    assert slots(agents) == 3


def test_the_workforce_is_what_agents_that_take_work_can_run(registry: Registry) -> None:
    agents = registry.agents
    old = Crew(tenants=("acme", "globex"), skills=("echo",))
    new = Crew(skills=("echo", "shout"), planners=("p",))
    crews = {crew: [beat(IDLE, BUSY, OFFLINE).model_copy(update=dict(crew)) for _ in range(2)] for crew in (old, new)}
    for each in [*crews[old], *crews[new]]:
        agents.register(each)
    assert dict(agents.workforce().crews) == {old: 4, new: 4}
    agents.leave(crews[old][0].process_id)
    agents.drain(ids(crews[new][0])[0], draining=True)
    assert dict(agents.workforce().crews) == {old: 2, new: 2}
    changed = crews[old][1].model_copy(update={"skills": ("echo", "shout")})
    agents.heartbeat(changed)
    assert dict(agents.workforce().crews) == {changed.crew: 2, new: 2}
    registry.pass_time(OFFLINE_AFTER_SECONDS + 1)
    assert agents.workforce() == Workforce()


def test_those_gone_for_long_are_left_out_where_that_is_asked_for(registry: Registry) -> None:
    agents = registry.agents
    dead, left, child = beat(IDLE), beat(BUSY), beat(IDLE, OFFLINE, OFFLINE)
    slots = tuple(
        slot.model_copy(update={"gone_seconds": seconds})
        for slot, seconds in zip(child.slots, (None, 50.0, 70.0), strict=True)
    )
    child = child.model_copy(update={"slots": slots})
    agents.register(dead)
    agents.register(left)
    agents.leave(left.process_id)
    registry.pass_time(59)
    agents.heartbeat(child)

    def listed(**options: Any) -> list[UUID]:
        return [agent.agent_id for agent in agents.list_agents(**options)]

    assert listed(gone_seconds=60.0) == [*ids(dead), *ids(left), *ids(child)[:2]]
    assert listed(gone_seconds=60.0, status=OFFLINE) == [*ids(dead), *ids(left), ids(child)[1]]
    registry.pass_time(2)
    assert listed(gone_seconds=60.0) == ids(child)[:2]
    assert listed(gone_seconds=60.0, limit=1) == ids(child)[:1], "a page is full of those that are left"
    assert listed(gone_seconds=60.0, limit=1, after=ids(child)[0]) == [ids(child)[1]]
    assert listed() == [*ids(dead), *ids(left), *ids(child)]
    gone = agents.get(ids(child)[1])
    assert (agents.get(ids(child)[0]).last_seen - gone.last_seen).total_seconds() == pytest.approx(50)


def test_what_is_not_there_cannot_drain(registry: Registry) -> None:
    said = beat(IDLE)
    for target in ("worker@a", uuid4()):
        with pytest.raises(AgentNotFound):
            registry.agents.drain(target, draining=True)
    registry.agents.register(said)
    registry.pass_time(OFFLINE_AFTER_SECONDS + 1)
    assert registry.agents.drain(ids(said)[0], draining=True) == 0


def test_to_register_sets_whether_a_process_drains(agents: port.AgentRegistry) -> None:
    said = beat(IDLE)
    agents.register(said)
    agents.register(said.model_copy(update={"draining": True}))
    assert agents.get(ids(said)[0]).draining is True
    agents.register(said)
    assert agents.get(ids(said)[0]).draining is False


def test_all_is_back_with_the_next_beat_after_everything_was_lost(registry: Registry) -> None:
    agents, said = registry.agents, beat(BUSY, IDLE)
    agents.register(said)
    agents.drain("worker@a", draining=True)
    registry.lose_everything()
    assert agents.list_agents() == []
    assert agents.heartbeat(said.model_copy(update={"draining": True})) is True
    assert [agent.status for agent in agents.list_agents()] == [BUSY, IDLE]
    assert agents.get(ids(said)[0]).draining is True
    assert agents.drain("worker@a", draining=False) == 2


def test_who_is_known_and_beats_is_alive(registry: Registry) -> None:
    agents, dead, here = registry.agents, beat(BUSY), beat(BUSY, OFFLINE)
    agents.register(dead)
    agents.register(here)
    stranger = uuid4()
    for _ in range(3):
        registry.pass_time(OFFLINE_AFTER_SECONDS / 2)
        agents.heartbeat(here)
    standing = agents.standing([*ids(dead), *ids(here), stranger])
    assert standing.alive == {ids(here)[0]}
    assert standing.gone == {ids(here)[1]}, "the dead and strangers are only silent"
    assert standing.silent == {*ids(dead), stranger}
    assert agents.standing([]).alive == agents.standing([]).gone == set()
    agents.leave(here.process_id)
    assert agents.standing(ids(here)).alive == set()
    assert agents.standing(ids(here)).gone == set(ids(here))


def test_a_child_that_is_gone_is_gone_whatever_is_known_of_others(registry: Registry) -> None:
    said = beat(BUSY, OFFLINE)
    registry.agents.register(said)
    assert registry.agents.standing(ids(said)).alive == {ids(said)[0]}
    assert registry.agents.standing(ids(said)).gone == {ids(said)[1]}


def test_nobody_is_taken_for_dead_because_the_broker_was_away(registry: Registry) -> None:
    agents, first, second = registry.agents, beat(BUSY), beat(BUSY)
    both = {*ids(first), *ids(second)}
    agents.register(first)
    agents.register(second)
    registry.pass_time(60)
    assert agents.standing(both).alive == both, "nobody could beat"
    agents.heartbeat(first)
    assert agents.standing(both).alive == both, "the second has had no time to"
    for _ in range(3):
        registry.pass_time(OFFLINE_AFTER_SECONDS / 2)
        agents.heartbeat(first)
    assert agents.standing(both).alive == set(ids(first))
    registry.lose_everything()
    assert agents.standing(both).alive == both
    agents.heartbeat(first)
    assert agents.standing(both).alive == both


def test_many_processes_are_listed_and_counted(agents: port.AgentRegistry) -> None:
    said = [beat(IDLE) for _ in range(1100)]
    # At the same time, as processes do: one after the other, on a busy machine, the first are late with their next.
    with ThreadPoolExecutor(8) as processes:
        list(processes.map(agents.heartbeat, said))
    assert slots(agents) == 1100
    assert [agent.agent_id for agent in agents.list_agents(limit=2000)] == [ids(each)[0] for each in said]
    assert len(agents.list_agents(status=IDLE, after=ids(said[999])[0], limit=2000)) == 100


ASK: dict[str, Callable[[port.AgentRegistry], object]] = {
    "register": lambda agents: agents.register(beat(IDLE)),
    "heartbeat": lambda agents: agents.heartbeat(beat(IDLE)),
    "leave": lambda agents: agents.leave(uuid4()),
    "list_agents": lambda agents: agents.list_agents(),
    "get": lambda agents: agents.get(uuid4()),
    "drain": lambda agents: agents.drain("worker@a", draining=True),
    "workforce": lambda agents: agents.workforce(),
    "standing": lambda agents: agents.standing([uuid4()]),
    "let_in": lambda agents: agents.let_in(),
}


@pytest.fixture(params=["fake", "redis"])
def away(request: pytest.FixtureRequest) -> port.AgentRegistry:
    """A registry that does not answer."""
    if request.param == "fake":
        fake = FakeAgentRegistry(FakeClock())
        fake.available = False
        return fake
    return AgentRegistry(connect(f"redis://:s3cret@127.0.0.1:{free_port()}/0", {}))


@pytest.mark.parametrize("what", ASK)
def test_a_registry_that_does_not_answer_says_so(away: port.AgentRegistry, what: str) -> None:
    with pytest.raises(QueueUnavailable) as caught:
        ASK[what](away)
    assert "s3cret" not in str(caught.value)


def test_nothing_that_is_asked_of_a_registry_is_forgotten_here(away: port.AgentRegistry) -> None:
    assert {name for name in dir(port.AgentRegistry) if not name.startswith("_")} == set(ASK)


# Of the real one only.


def test_it_comes_back_by_itself_when_its_connections_were_cut(
    redis_registry: RedisRegistry, servers: dict[str, str]
) -> None:
    said = beat(IDLE)
    redis_registry.agents.register(said)
    with redis.Redis.from_url(servers["CHIMERA_REDIS_URL"]) as other:
        other.client_kill_filter(_type="normal", skipme=True)
        other.script_flush()
    assert redis_registry.agents.heartbeat(said) is False


def test_forgotten_agents_leave_nothing_behind(redis_registry: RedisRegistry) -> None:
    agents, gone, here = redis_registry.agents, beat(IDLE, BUSY, node="worker@old"), beat(IDLE)
    agents.register(gone)
    redis_registry.pass_time(FORGOTTEN_AFTER_SECONDS + 1)
    agents.register(here)
    client = redis_registry._client
    assert not client.exists(f"{PREFIX}node:worker@old")
    for name in ("beats", "states", "crews", "ids", "nodes", "agents"):
        assert client.hlen(f"{PREFIX}{name}") == 1
    for name in ("seen", "order", "order:I"):
        assert client.zcard(f"{PREFIX}{name}") == 1
    assert not client.exists(f"{PREFIX}order:B")


# Of tenants whose workers have logins of their own.


def test_a_tenant_s_own_agents_are_listed_found_and_drained_with_all_others(every_registry: RedisRegistry) -> None:
    here, there = beat(IDLE, BUSY), beat(ACTIVE, BUSY, node="own@b")
    agents = every_registry.agents
    agents.register(here)
    own_registry(every_registry._client, "other").register(there)
    assert [agent.agent_id for agent in agents.list_agents()] == [*ids(here), *ids(there)]
    pages = [agents.list_agents(limit=1)]
    while len(pages[-1]) == 1:
        pages.append(agents.list_agents(limit=1, after=pages[-1][0].agent_id))
    assert [agent.agent_id for page in pages for agent in page] == [*ids(here), *ids(there)]
    assert agents.get(ids(there)[1]).node == "own@b"
    assert agents.drain("own@b", draining=True) == 2
    assert own_registry(every_registry._client, "other").heartbeat(there)


def test_what_a_tenant_s_own_registry_says_holds_for_its_own_work_alone(every_registry: RedisRegistry) -> None:
    # Its beats say that they take everybody's work, as a beat without tenants does.
    there = beat(BUSY).model_copy(update={"skills": ("echo",)})
    own_registry(every_registry._client, "other").register(there)
    workforce = every_registry.agents.workforce()
    assert (workforce.slots("other", "echo"), workforce.slots("acme")) == (1, 0)
    for _ in range(3):  # so long that who is not known is silent
        every_registry.agents.register(beat(IDLE))
        every_registry.pass_time(0.9 * OFFLINE_AFTER_SECONDS)
    assert every_registry.agents.standing(ids(there), "other").alive == set(ids(there))
    assert every_registry.agents.standing(ids(there), "acme").alive == set()


@pytest.mark.parametrize("key", ["seen", "crews", "states", "beats", "ids"])
def test_a_tenant_s_own_registry_that_is_rubbish_disturbs_nobody(every_registry: RedisRegistry, key: str) -> None:
    client, here, there = every_registry._client, beat(IDLE), beat(BUSY)
    every_registry.agents.register(here)
    own_registry(client, "other").register(there)
    name = f"tenant.other:{{agents}}:{key}"
    for spoil in (lambda: client.set(name, "x"), lambda: client.hset(name, there.process_id.hex, "{")):
        client.delete(name)
        spoil()
        assert every_registry.agents.workforce().slots("acme") == 1
        assert [agent.agent_id for agent in every_registry.agents.list_agents(node=here.node)][:1] == ids(here)
        assert every_registry.agents.standing(ids(here), "other").alive == set(ids(here))
        assert every_registry.agents.get(ids(here)[0]).node == here.node
