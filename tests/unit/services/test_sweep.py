"""The sweep: does whatever a lost message left undone."""

import math
from datetime import timedelta
from uuid import UUID

import pytest

from chimera.errors import PlanNotFound, StoreUnavailable
from chimera.models.audit.access import RECORDED_A_MINUTE
from chimera.models.work.agent import AgentSlot, AgentStatus, ProcessBeat
from chimera.models.work.plan import PlanState
from chimera.models.work.skill import Success
from chimera.models.work.task import TaskSpec, TaskState
from chimera.models.work.timing import LEASE_SECONDS
from chimera.ports.sweep_store import PlanRef
from tests.unit.services.house import TENANT, House


@pytest.fixture
def spec(house: House) -> TaskSpec:
    def answer() -> Success[str]:
        return Success("fine", confidence=0.9)

    return house.skill(answer).task()


def forget_messages(house: House) -> None:
    """What FLUSHALL does."""
    for messages in (house.queue.plans, house.queue.dispatches, house.queue.judged, house.queue.stopped):
        messages.clear()


def ref(plan_id: UUID) -> PlanRef:
    return PlanRef(tenant_id=TENANT, plan_id=plan_id)


def test_with_nothing_left_undone_nothing_is_sent(house: House, spec: TaskSpec) -> None:
    assert house.sweep().run() == 0
    house.planned(spec)
    house.run_all()
    house.clock.advance(3600)
    assert house.sweep().run() == 0


def test_a_plan_whose_message_was_lost_is_planned(house: House, spec: TaskSpec) -> None:
    house.plans_with(lambda: [spec])
    plan_id = house.submit()
    forget_messages(house)
    house.clock.advance(11)
    assert house.sweep().run() == 1
    assert house.queue.plans == [ref(plan_id)]


def test_a_wave_whose_messages_were_lost_is_sent_again(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(spec)
    forget_messages(house)
    house.clock.advance(11)
    assert house.sweep().run() == 1
    house.run_all()
    assert house.state(plan_id) is PlanState.COMPLETED


def test_a_wave_whose_judge_never_came_is_judged(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(spec)
    house.run_batches(house.queue.dispatches.pop())
    house.clock.advance(3)
    assert house.sweep().run() == 1
    assert house.queue.judged == [house.wave(plan_id)]
    house.run_all()
    assert house.state(plan_id) is PlanState.COMPLETED


def test_what_an_agent_ran_is_taken_back_once_it_is_known_to_be_dead(house: House, spec: TaskSpec) -> None:
    house.planned(spec)
    dispatch = house.queue.dispatches.pop()
    ids = dispatch.batches[0].task_ids
    house.work.claim(
        dispatch.wave, ids, house.clock.new_id(), house.clock.new_id(), LEASE_SECONDS, house.catalogue.skills
    )
    house.clock.advance(3)
    assert house.sweep().run() == 0, "nobody beats: no agent is known to be dead"
    other = ProcessBeat(process_id=house.clock.new_id(), node="worker@a", started_at=house.clock.now())
    for _ in range(4):
        house.agents.heartbeat(other)
        house.clock.advance(1.5)
    assert house.sweep().run() == 1
    assert [sent.batches[0].task_ids for sent in house.queue.dispatches] == [ids]


def test_a_task_whose_agent_died_is_taken_back_and_sent_in_the_same_round(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(spec)
    dispatch = house.queue.dispatches.pop()
    ids = dispatch.batches[0].task_ids
    house.work.claim(dispatch.wave, ids, house.clock.new_id(), house.clock.new_id(), 60, house.catalogue.skills)
    house.clock.advance(64)
    assert house.sweep().run() == 1
    assert [sent.batches[0].task_ids for sent in house.queue.dispatches] == [ids]
    house.run_all()
    [result] = house.results(plan_id)
    assert (result.state, result.attempt) == (TaskState.APPROVED, 2)


def test_a_plan_past_its_deadline_is_stopped_and_not_sent(house: House, spec: TaskSpec) -> None:
    deadline = house.clock.now() + timedelta(minutes=1)
    plan_id = house.planned(spec, deadline=deadline)
    forget_messages(house)
    house.clock.advance(61)
    assert house.sweep().run() == 1
    assert house.queue.stopped == [ref(plan_id)]
    assert house.queue.dispatches == []
    house.run_all()
    assert house.state(plan_id) is PlanState.EXPIRED


def test_a_plan_that_has_just_expired_is_asked_to_be_closed_once_a_round(house: House, spec: TaskSpec) -> None:
    house.planned(spec, deadline=house.clock.now() + timedelta(minutes=1))
    house.clock.advance(61)
    house.sweep().run()
    assert len(house.queue.stopped) == 1
    house.sweep().run()
    assert len(house.queue.stopped) == 2


def test_a_stop_whose_message_was_lost_is_sent_again(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(spec)
    house.control().cancel(TENANT, plan_id, "ann")
    forget_messages(house)
    house.clock.advance(5)
    assert house.sweep().run() == 1
    house.run_all()
    assert house.state(plan_id) is PlanState.CANCELLED


def test_waves_that_wait_for_a_person_go_out_after_the_decision(house: House, spec: TaskSpec) -> None:
    def unsure() -> str:
        return "perhaps"

    first = house.skill(unsure).task()
    plan_id = house.planned(first, spec.options(depends_on=(first,)))
    house.run_all()
    [card] = house.cards()
    house.reviews().approve(card, "ann")
    assert house.sweep().run() == 1
    house.run_all()
    assert house.state(plan_id) is PlanState.COMPLETED


def test_every_tenant_is_swept(house: House, spec: TaskSpec) -> None:
    house.database.add_tenant("globex")
    house.plans_with(lambda: [spec])
    for tenant_id in (TENANT, "globex"):
        house.submit(tenant_id=tenant_id)
    forget_messages(house)
    house.clock.advance(11)
    assert house.sweep().run() == 2
    house.run_all()
    assert {house.plans.list_plans(tenant, 1)[0].state for tenant in (TENANT, "globex")} == {PlanState.COMPLETED}


def test_without_a_broker_the_round_ends_and_a_later_one_does_it_all(house: House, spec: TaskSpec) -> None:
    house.plans_with(lambda: [spec])
    submitted = house.submit()
    stopped, staged = house.planned(spec), house.planned(spec)
    house.run_batches(house.queue.dispatches.pop())
    house.control().cancel(TENANT, stopped, "ann")
    forget_messages(house)
    house.clock.advance(11)
    house.queue.room = 0
    assert house.sweep().run() == 0
    house.queue.room = math.inf
    house.clock.advance(11)
    assert house.sweep().run() == 3
    house.run_all()
    assert house.state(submitted) is PlanState.COMPLETED
    assert house.state(stopped) is PlanState.CANCELLED
    assert house.state(staged) is PlanState.COMPLETED


def test_without_a_store_it_says_so(house: House) -> None:
    house.database.available = False
    with pytest.raises(StoreUnavailable):
        house.sweep().run()


def test_refused_attempts_that_were_only_counted_are_put_on_record(house: House) -> None:
    for _ in range(RECORDED_A_MINUTE + 3):
        with pytest.raises(PlanNotFound):
            house.plans.get(TENANT, house.clock.new_id())
    house.clock.advance(61)
    house.sweep().run()
    assert [(entry.facts or {})["more"] for entry in house.database.audit[TENANT][-1:]] == [3]


def worker_with(house: House, *skills: str) -> ProcessBeat:
    slot = AgentSlot(agent_id=house.clock.new_id(), pid=7, status=AgentStatus.IDLE)
    process_id, now = house.clock.new_id(), house.clock.now()
    return ProcessBeat(process_id=process_id, node="worker@a", started_at=now, slots=(slot,), skills=skills)


def test_what_waits_for_a_skill_is_sent_when_a_worker_comes_that_has_it(house: House, spec: TaskSpec) -> None:
    old = worker_with(house, "other")
    house.agents.heartbeat(old)
    plan_id = house.planned(spec)
    for _ in range(100):
        house.clock.advance(1)
        house.agents.heartbeat(old)
        assert house.sweep().run() == 0, "it would only come back"
    assert house.queue.dispatches == []
    house.agents.heartbeat(worker_with(house, "answer"))
    house.clock.advance(2)
    assert house.sweep().run() == 1
    house.run_all()
    assert house.state(plan_id) is PlanState.COMPLETED
    assert house.results(plan_id)[0].attempt == 1


def test_what_a_worker_gave_back_is_sent_again_soon(house: House, spec: TaskSpec) -> None:
    house.agents.heartbeat(worker_with(house, "answer"))
    plan_id = house.planned(spec)
    house.work.give_back(house.wave(plan_id), house.queue.dispatches.pop().batches[0].task_ids, [])
    house.clock.advance(1)
    assert house.sweep().run() == 0
    house.clock.advance(1)
    assert house.sweep().run() == 1
    assert len(house.queue.dispatches) == 1


def test_a_plan_that_waits_for_a_skill_leaves_room_to_others_and_ends_by_its_deadline(
    house: House, spec: TaskSpec
) -> None:
    house.agents.heartbeat(worker_with(house, "answer"))

    def missing() -> str:
        return "never"

    waits = house.planned(
        *(house.skill(missing).task() for _ in range(6)), window=1, deadline=house.clock.now() + timedelta(hours=1)
    )
    other = house.planned(spec, window=1)
    house.run_all()
    assert house.state(other) is PlanState.COMPLETED
    house.clock.advance(3601)
    house.sweep().run()
    house.run_all()
    assert house.state(waits) is PlanState.EXPIRED
