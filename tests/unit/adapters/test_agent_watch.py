"""What a worker says of its agents from look to look."""

from uuid import UUID, uuid4

import pytest

from chimera.adapters.celery.agent_watch import AgentWatch, Sight
from chimera.models.work.agent import ACTIVE_SECONDS, FORGOTTEN_AFTER_SECONDS, AgentSlot, AgentStatus, AgentWork
from tests.fakes import FakeClock

BUSY, ACTIVE, IDLE, OFFLINE = AgentStatus.BUSY, AgentStatus.ACTIVE, AgentStatus.IDLE, AgentStatus.OFFLINE
AGENT = UUID(int=1)
WORK = AgentWork(tenant_id="acme", plan_id=UUID(int=2), wave_no=0, tasks=1, since=FakeClock().now())


@pytest.fixture
def watch() -> AgentWatch:
    return AgentWatch()


def free(batches: int, agent_id: UUID = AGENT) -> Sight:
    return Sight(agent_id, 11, None, batches)


def runs(batches: int) -> Sight:
    return Sight(AGENT, 11, WORK, batches)


def statuses(slots: tuple[AgentSlot, ...]) -> list[AgentStatus]:
    return [slot.status for slot in slots]


def test_an_agent_that_never_ran_is_idle(watch: AgentWatch) -> None:
    assert statuses(watch.look([free(0)], 0.0)) == [IDLE]
    assert statuses(watch.look([free(0)], 1000.0)) == [IDLE]


def test_an_agent_is_busy_then_active_then_idle(watch: AgentWatch) -> None:
    [slot] = watch.look([runs(1)], 0.0)
    assert (slot.status, slot.running, slot.batches, slot.pid) == (BUSY, WORK, 1, 11)
    # A long batch counts until it was seen last.
    assert statuses(watch.look([runs(1)], 500.0)) == [BUSY]
    assert statuses(watch.look([free(1)], 500.0 + ACTIVE_SECONDS - 1)) == [ACTIVE]
    assert statuses(watch.look([free(1)], 500.0 + ACTIVE_SECONDS)) == [IDLE]


def test_a_batch_that_came_and_went_between_two_looks_counts(watch: AgentWatch) -> None:
    watch.look([free(0)], 0.0)
    assert statuses(watch.look([free(1)], 1.0)) == [ACTIVE]
    assert statuses(watch.look([free(2)], 200.0)) == [ACTIVE]
    assert statuses(watch.look([free(2)], 200.0 + ACTIVE_SECONDS)) == [IDLE]


def test_an_agent_that_is_gone_is_told_of_for_an_hour(watch: AgentWatch) -> None:
    other = UUID(int=9)
    watch.look([runs(1), free(0, other)], 0.0)
    here, gone = watch.look([free(0, other)], 1.0)
    assert (here.agent_id, here.status) == (other, IDLE)
    assert (gone.agent_id, gone.status, gone.running, gone.batches) == (AGENT, OFFLINE, None, 1)
    assert (here.gone_seconds, gone.gone_seconds) == (None, 1.0)
    assert statuses(watch.look([free(0, other)], FORGOTTEN_AFTER_SECONDS - 1)) == [IDLE, OFFLINE]
    assert statuses(watch.look([free(0, other)], FORGOTTEN_AFTER_SECONDS)) == [IDLE]


def test_of_many_that_are_gone_the_last_are_told_of(watch: AgentWatch) -> None:
    agents = [uuid4() for _ in range(30)]
    for second, agent in enumerate(agents):
        slots = watch.look([free(0, agent)], float(second))
    assert [slot.agent_id for slot in slots] == [agents[-1], *agents[-17:-1]]
