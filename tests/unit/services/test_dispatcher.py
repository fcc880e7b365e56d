"""Sending a tenant's next waves."""

import math

import pytest

from chimera.models.work.agent import AgentSlot, AgentStatus, ProcessBeat
from chimera.models.work.declaration import skill_declarations
from chimera.models.work.task import TaskSpec
from tests.fakes import FakeSkillStore
from tests.unit.services.house import TENANT, House


def echo(text: str) -> str:
    return text


def slow(text: str) -> str:
    return text


def spec(skill: str = "echo") -> TaskSpec:
    return TaskSpec(skill=skill, input={"text": "a"})


@pytest.fixture(autouse=True)
def skills(house: House) -> None:
    house.skill(echo)
    house.skill(slow, max_batch=1)


def stored(house: House, *specs: TaskSpec) -> None:
    """A plan whose waves of three wait, unsent."""
    house.plans_with(lambda: specs)
    plan_id = house.submit()
    before = len(house.queue.dispatches)
    house.planner(window=0).plan(TENANT, plan_id)
    assert len(house.queue.dispatches) == before


def sent(house: House) -> list[int]:
    return [dispatch.wave.wave_no for dispatch in house.queue.dispatches]


def test_with_nothing_to_send_the_broker_is_not_asked(house: House) -> None:
    house.queue.room = 0
    assert house.dispatcher().dispatch(TENANT) == 0


def test_every_wave_of_the_window_is_sent_once(house: House) -> None:
    stored(house, *(spec() for _ in range(7)))
    assert house.dispatcher(window=2).dispatch(TENANT) == 2
    assert house.dispatcher(window=2).dispatch(TENANT) == 0
    assert house.dispatcher(window=3).dispatch(TENANT) == 1
    assert sent(house) == [0, 1, 2]


def test_a_wave_s_tasks_are_cut_for_the_slots_and_skills_there_are(house: House) -> None:
    stored(house, spec(), spec("slow"), spec("slow"))
    house.dispatcher().dispatch(TENANT)
    [dispatch] = house.queue.dispatches
    assert [len(batch.task_ids) for batch in dispatch.batches] == [1, 1, 1]
    assert sum(batch.timeout_seconds for batch in dispatch.batches) == 30.0


def test_a_broker_that_fails_midway_leaves_the_rest_for_the_sweep(house: House) -> None:
    stored(house, *(spec() for _ in range(7)))
    house.queue.room = 1
    assert house.dispatcher().dispatch(TENANT) == 1
    assert sent(house) == [0]
    house.queue.room = math.inf
    assert house.dispatcher().dispatch(TENANT) == 0  # perhaps another process is sending them
    house.clock.advance(6)
    assert house.dispatcher().dispatch(TENANT) == 2
    assert sent(house) == [0, 1, 2]


def test_without_a_broker_no_wave_counts_as_sent(house: House) -> None:
    stored(house, spec())
    house.queue.room = 0
    assert house.dispatcher().dispatch(TENANT) == 0
    house.queue.room = math.inf
    house.clock.advance(6)
    assert house.dispatcher().dispatch(TENANT) == 1


def test_a_wave_whose_tasks_are_all_taken_needs_no_message(house: House) -> None:
    stored(house, spec())
    [outgoing] = house.waves.take_next(TENANT, 1)
    token = house.clock.new_id()
    house.work.claim(
        outgoing.wave,
        [task.task_id for task in outgoing.tasks],
        house.clock.new_id(),
        token,
        60,
        house.catalogue.skills,
    )
    house.clock.advance(6)
    assert house.dispatcher().dispatch(TENANT) == 1
    assert house.queue.dispatches == []
    house.clock.advance(6)
    assert house.dispatcher().dispatch(TENANT) == 0


def beat(house: House, *skills: str, agents: int = 2, tenants: tuple[str, ...] | None = None) -> ProcessBeat:
    """A worker process whose agents have these skills."""
    slots = tuple(AgentSlot(agent_id=house.clock.new_id(), pid=7, status=AgentStatus.IDLE) for _ in range(agents))
    process_id, now = house.clock.new_id(), house.clock.now()
    return ProcessBeat(
        process_id=process_id, node="worker@a", started_at=now, slots=slots, skills=skills, tenants=tenants
    )


def sizes(house: House) -> list[list[int]]:
    return [[len(batch.task_ids) for batch in dispatch.batches] for dispatch in house.queue.dispatches]


def test_tasks_of_a_skill_that_no_agent_has_are_not_sent(house: House) -> None:
    stored(house, spec(), spec("slow"))
    house.agents.register(beat(house, "echo"))
    assert house.dispatcher().dispatch(TENANT) == 1
    assert sizes(house) == [[1]]
    [row] = house.database.waves.values()
    assert row.skill_waits_since == house.clock.now()


def test_a_wave_of_a_skill_that_no_agent_has_waits_without_a_message(house: House) -> None:
    stored(house, spec())
    house.agents.register(beat(house, "slow"))
    assert house.dispatcher().dispatch(TENANT) == 1
    assert house.queue.dispatches == []


def test_a_skill_that_only_another_tenant_s_agents_have_is_one_that_none_has(house: House) -> None:
    stored(house, spec())
    house.agents.register(beat(house, "slow"))
    house.agents.register(beat(house, "echo", tenants=("globex",)))
    house.dispatcher().dispatch(TENANT)
    assert house.queue.dispatches == []


def test_where_there_is_no_agent_messages_wait_for_those_to_come(house: House) -> None:
    stored(house, spec())
    house.agents.register(beat(house, "slow", tenants=("globex",)))
    house.dispatcher().dispatch(TENANT)
    assert sizes(house) == [[1]]


def test_a_skill_that_an_agent_has_had_for_a_moment_only_is_known(house: House) -> None:
    house.agents.register(beat(house, "echo"))
    dispatcher = house.dispatcher()
    stored(house, spec())
    dispatcher.dispatch(TENANT)
    house.agents.register(beat(house, "slow"))
    stored(house, spec("slow"))
    dispatcher.dispatch(TENANT)
    assert sizes(house) == [[1], [1]]


def test_of_a_skill_that_not_all_agents_have_some_batches_go_out_at_a_time(house: House) -> None:
    house.plans_with(lambda: [spec("slow") for _ in range(20)])
    plan_id = house.submit()
    house.planner(wave_size=10, window=0).plan(TENANT, plan_id)
    house.agents.register(beat(house, "echo", agents=3))
    house.agents.register(beat(house, "echo", "slow", agents=1))
    house.dispatcher().dispatch(TENANT)
    assert sizes(house) == [[1] * 10, [1] * 6]
    assert [row.skill_waits_since is not None for row in house.database.waves.values()] == [False, True]


def test_batches_are_cut_for_the_agents_that_have_the_skill(house: House) -> None:
    stored(house, *(spec() for _ in range(3)))
    house.agents.register(beat(house, agents=5))
    house.agents.register(beat(house, "echo", agents=1))
    house.dispatcher().dispatch(TENANT)
    assert sizes(house) == [[2, 1]]


def test_batches_are_cut_for_the_agents_that_take_work(house: House) -> None:
    stored(house, *(spec() for _ in range(6)))
    dispatcher = house.dispatcher(window=1)
    dispatcher.dispatch(TENANT)
    house.agents.register(beat(house, "echo"))
    house.dispatcher(window=2).dispatch(TENANT)
    assert sizes(house) == [[2, 1], [1, 1, 1]]


def test_without_the_registry_no_wave_counts_as_sent(house: House) -> None:
    stored(house, spec())
    house.agents.available = False
    assert house.dispatcher().dispatch(TENANT) == 0
    assert sent(house) == []


def test_the_batches_of_a_skill_that_this_process_lacks_are_as_large_as_a_worker_has_declared(house: House) -> None:
    stored(house, *(spec() for _ in range(3)))
    stored(house, *(spec() for _ in range(3)))
    declared = skill_declarations([house.catalogue.skills.pop("echo")])
    dispatcher = house.dispatcher(window=1)
    dispatcher.dispatch(TENANT)
    FakeSkillStore(house.database).declare(declared, [])
    house.dispatcher(window=2).dispatch(TENANT)
    assert sizes(house) == [[1, 1, 1], [2, 1]]
