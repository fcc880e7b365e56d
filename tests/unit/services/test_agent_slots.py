"""Who runs what in one process."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from chimera.models.work.agent import AgentTally, AgentWork, agent_id
from chimera.services.agent_slots import AgentSlots
from tests.fakes import FakeClock

PROCESS = uuid4()


def work(wave_no: int = 0) -> AgentWork:
    return AgentWork(tenant_id="acme", plan_id=UUID(int=1), wave_no=wave_no, tasks=2, since=FakeClock().now())


def agent(slot: int) -> UUID:
    return agent_id(PROCESS, 11, slot)


@pytest.fixture
def slots() -> AgentSlots:
    return AgentSlots(PROCESS, 11)


def test_at_first_nothing_runs(slots: AgentSlots) -> None:
    assert not slots.running()
    assert not slots.begun()


def test_each_batch_takes_the_lowest_free_slot(slots: AgentSlots) -> None:
    with slots.taken(work(0)) as first:
        with slots.taken(work(1)) as second:
            assert (first.agent_id, second.agent_id) == (agent(0), agent(1))
            assert slots.running() == {agent(0): work(0), agent(1): work(1)}
        with slots.taken(work(2)) as third:
            assert third.agent_id == agent(1)
    assert slots.running() == {}
    assert slots.begun() == {agent(0): 1, agent(1): 2}


def test_an_agent_s_tally_counts_calls_and_the_time_of_its_batches() -> None:
    told: list[tuple[int, int, float]] = []
    slots = AgentSlots(PROCESS, 11, lambda *counts: told.append(counts))
    with slots.taken(work()) as taken:
        taken.count(failed=False)
        taken.count(failed=True)
        taken.count(failed=False)
        assert slots.tallies()[agent(0)] == AgentTally(tasks_done=2, tasks_failed=1)
    assert slots.tallies().keys() == {agent(0)}
    tally = slots.tallies()[agent(0)]
    assert (tally.tasks_done, tally.tasks_failed) == (2, 1)
    assert tally.busy_seconds > 0
    assert told[-1] == (2, 1, tally.busy_seconds)
    assert len(told) == 4


def test_a_slot_is_free_again_after_a_failure(slots: AgentSlots) -> None:
    with pytest.raises(RuntimeError), slots.taken(work()):
        raise RuntimeError
    assert slots.running() == {}


def test_threads_never_share_a_slot(slots: AgentSlots) -> None:
    together = Barrier(8)

    def run() -> UUID:
        with slots.taken(work()) as taken:
            together.wait(10)
            return taken.agent_id

    with ThreadPoolExecutor(8) as pool:
        assert {future.result() for future in [pool.submit(run) for _ in range(8)]} == {agent(n) for n in range(8)}
    assert slots.running() == {}


def test_an_agent_s_id_names_process_child_and_slot() -> None:
    ids = {agent_id(process, pid, slot) for process in (PROCESS, uuid4()) for pid in (1, 11) for slot in (1, 11)}
    assert len(ids) == 8
    assert agent(0) == agent_id(PROCESS, 11, 0)
