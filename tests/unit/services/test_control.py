"""Pausing, resuming and trying again, and stopping many plans."""

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from chimera.errors import Conflict, NothingToRetry, PlanAlreadyEnded, PlanNotFound, StoreUnavailable
from chimera.models.gate.review import CardStatus
from chimera.models.work.plan import PlanChange, PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.skill import SkillFailed, Success
from chimera.models.work.task import TaskSpec, TaskState
from chimera.ports.sweep_store import PlanRef
from chimera.services import control
from tests.unit.services.house import TENANT, House

FAILED, STOPPED = RetryKind.FAILED, RetryKind.STOPPED

Spec = Callable[[str], TaskSpec]


class Ran:
    """What a skill was called with, and what it is to refuse."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.bad: set[str] = set()
        self.unsure: set[str] = set()


@pytest.fixture
def ran() -> Ran:
    return Ran()


@pytest.fixture
def spec(house: House, ran: Ran) -> Spec:
    def note(text: str) -> Success[str]:
        ran.texts.append(text)
        if text in ran.bad:
            raise SkillFailed("not today", retryable=False)
        return Success(text, confidence=0.1 if text in ran.unsure else 1.0)

    return house.skill(note).task


def ref(plan_id: UUID) -> PlanRef:
    return PlanRef(tenant_id=TENANT, plan_id=plan_id)


def changes(*plans: UUID, state: PlanState = PlanState.RUNNING, paused: bool = False) -> list[PlanChange]:
    return [PlanChange(plan_id=plan_id, state=state, paused=paused) for plan_id in plans]


# Pausing and resuming.


def test_nothing_of_a_paused_plan_starts_and_all_of_it_after_the_resume(house: House, spec: Spec, ran: Ran) -> None:
    plan_id = house.planned(*[spec(text) for text in "abcd"])
    assert house.control().pause(TENANT, plan_id, "ann").paused
    house.run_all()
    house.clock.advance(60)
    house.sweep().run()
    house.run_all()
    assert ran.texts == []
    assert house.shown(plan_id).standing == "running (paused)"
    house.control().resume(TENANT, plan_id, "ann")
    house.run_all()
    assert sorted(ran.texts) == list("abcd")
    assert house.state(plan_id) is PlanState.COMPLETED


def test_a_resumed_plan_asks_for_its_waves_by_one_message(house: House, spec: Spec) -> None:
    plans = [house.planned(spec("a")), house.planned(spec("b"))]
    house.control().pause_open(TENANT, None, "ann")
    house.run_all()
    assert house.control().resume_open(TENANT, None, "ann") == changes(*plans)
    assert (house.queue.dispatched, house.queue.judged) == ([TENANT], [])
    house.run_all()
    assert [house.state(plan_id) for plan_id in plans] == [PlanState.COMPLETED] * 2


def test_a_resumed_plan_that_waits_for_its_planner_asks_for_it(house: House, spec: Spec) -> None:
    house.plans_with(lambda: [spec("a")])
    plan_id = house.submit()
    house.control().pause(TENANT, plan_id, "ann")
    house.run_all()
    assert house.state(plan_id) is PlanState.SUBMITTED
    house.control().resume(TENANT, plan_id, "ann")
    assert house.queue.plans == [ref(plan_id)]
    house.run_all()
    assert house.state(plan_id) is PlanState.COMPLETED


def test_without_a_broker_a_resumed_plan_goes_on_by_the_sweep(house: House, spec: Spec) -> None:
    house.plans_with(lambda: [spec("a")])
    planned, submitted = house.planned(spec("b")), house.submit()
    house.control().pause_open(TENANT, None, "ann")
    house.run_all()
    house.queue.room = 0
    assert len(house.control().resume_open(TENANT, None, "ann")) == 2
    house.queue.room = math.inf
    house.clock.advance(11)
    house.sweep().run()
    house.run_all()
    assert house.state(planned) is house.state(submitted) is PlanState.COMPLETED


def test_cards_stay_open_while_a_plan_is_paused_and_people_decide(house: House, spec: Spec, ran: Ran) -> None:
    ran.unsure = {"a"}
    plan_id = house.planned(spec("a"))
    house.run_all()
    house.control().pause(TENANT, plan_id, "ann")
    assert house.shown(plan_id).standing == "in_review (paused)"
    [card] = house.cards()
    house.reviews().approve(card, "ann")
    assert house.shown(plan_id).standing == "completed"


@pytest.mark.parametrize("way", ["cancel", "cancel of a session", "deadline"])
def test_a_plan_that_is_stopped_closes_its_cards(house: House, spec: Spec, ran: Ran, way: str) -> None:
    ran.unsure = {"a", "b"}
    deadline = house.clock.now() + timedelta(minutes=1)
    plan_id = house.planned(spec("a"), spec("b"), spec("c"), session_id="s", deadline=deadline)
    house.run_all()
    decided, _ = house.cards()
    house.reviews().approve(decided, "ann")
    house.control().pause(TENANT, plan_id, "ann")  # makes no difference
    if way == "cancel":
        house.control().cancel(TENANT, plan_id, "ann")
    elif way == "deadline":
        house.clock.advance(61)
        house.sweep().run()
    else:
        house.control().cancel_open(TENANT, "s", "ann")
    house.run_all()
    end = PlanState.EXPIRED if way == "deadline" else PlanState.CANCELLED
    assert house.state(plan_id) is end
    cards = house.reviews().cards(TENANT, plan_id=plan_id, status=None)
    assert [card.status for card in cards] == [CardStatus.APPROVED, CardStatus(end)]
    assert house.states(plan_id) == [TaskState.APPROVED, TaskState(end), TaskState.APPROVED]


def test_what_has_ended_or_never_was_is_not_controlled(house: House, spec: Spec) -> None:
    plan_id = house.planned(spec("a"))
    house.run_all()
    for act in (house.control().pause, house.control().resume):
        with pytest.raises(PlanAlreadyEnded):
            act(TENANT, plan_id, "ann")
        with pytest.raises(PlanNotFound):
            act(TENANT, house.clock.new_id(), "ann")


# Many plans.


def test_a_session_is_cancelled_whole_and_nothing_else(house: House, spec: Spec, ran: Ran) -> None:
    house.plans_with(lambda: [spec("x")])
    inside = [house.planned(spec("a"), session_id="s"), house.submit(session_id="s")]
    outside = house.planned(spec("b"))
    stopped = house.control().cancel_open(TENANT, "s", "ann")
    assert stopped == [
        PlanChange(plan_id=inside[0], state=PlanState.STOPPING),
        PlanChange(plan_id=inside[1], state=PlanState.CANCELLED),
    ]
    assert house.queue.stopped == [ref(inside[0])]
    house.run_all()
    assert [house.state(plan_id) for plan_id in inside] == [PlanState.CANCELLED] * 2
    assert house.state(outside) is PlanState.COMPLETED
    assert ran.texts == ["b"]


def test_more_plans_than_go_into_one_transaction_are_all_changed(
    house: House, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PLANS_AT_ONCE", 2)
    plans = [house.planned(spec(text)) for text in "abcde"]
    assert house.control().pause_open(TENANT, None, "ann") == changes(*plans, paused=True)
    assert house.control().pause_open(TENANT, None, "ann") == []
    assert house.control().resume_open(TENANT, None, "ann") == changes(*plans)
    assert house.control().cancel_open(TENANT, None, "ann") == changes(*plans, state=PlanState.STOPPING)


def test_without_a_broker_all_stop_and_are_closed_later(house: House, spec: Spec) -> None:
    plans = [house.planned(spec(text)) for text in "ab"]
    house.queue.room = 0
    assert len(house.control().cancel_open(TENANT, None, "ann")) == 2
    house.queue.room = math.inf
    house.sweep().run()
    house.run_all()
    assert [house.state(plan_id) for plan_id in plans] == [PlanState.CANCELLED] * 2


def test_where_there_is_nothing_to_change_nothing_is(house: House) -> None:
    assert house.control().cancel_open(TENANT, "s", "ann") == []
    assert house.control().retry_ended(TENANT, None, [FAILED], "ann") == []
    house.database.available = False
    with pytest.raises(StoreUnavailable):
        house.control().cancel_open(TENANT, None, "ann")


# Trying again.


def test_only_what_failed_is_run_again(house: House, spec: Spec, ran: Ran) -> None:
    ran.bad = {"b", "d"}
    plan_id = house.planned(*[spec(text) for text in "abcd"])
    house.run_all()
    ran.texts.clear()
    ran.bad = {"d"}
    retried = house.control().retry(TENANT, plan_id, [FAILED], "ann")
    house.run_all()
    assert sorted(ran.texts) == ["b", "d"]
    assert house.states(retried.plan_id) == [TaskState.APPROVED, TaskState.EXHAUSTED]
    again = house.control().retry(TENANT, plan_id, [FAILED], "ann")
    assert (again.plan_id, again.created) == (retried.plan_id, False)
    ran.bad.clear()
    last = house.control().retry(TENANT, retried.plan_id, [FAILED], "ann")
    house.run_all()
    assert sorted(ran.texts) == ["b", "d", "d"]
    assert house.states(last.plan_id) == [TaskState.APPROVED]
    assert house.shown(last.plan_id).retry_of == retried.plan_id


def test_what_was_stopped_is_run_with_its_dependencies(house: House, spec: Spec, ran: Ran) -> None:
    first = spec("a")
    plan_id = house.planned(first, spec("b").options(depends_on=(first,)))
    house.control().cancel(TENANT, plan_id, "ann")
    house.run_all()
    retried = house.control().retry(TENANT, plan_id, [STOPPED], "ann")
    house.run_all()
    assert ran.texts == ["a", "b"]
    assert house.state(retried.plan_id) is PlanState.COMPLETED


def test_a_planner_that_failed_is_run_again(house: House, spec: Spec) -> None:
    well: list[bool] = []

    def plan() -> Iterator[TaskSpec]:
        if not well:
            raise RuntimeError("the source is away")
        yield spec("a")

    house.plans_with(plan)
    plan_id = house.submit()
    house.run_all()
    assert house.state(plan_id) is PlanState.FAILED
    well.append(True)
    retried = house.control().retry(TENANT, plan_id, [FAILED], "ann")
    assert house.queue.plans == [ref(retried.plan_id)]
    house.run_all()
    assert house.state(retried.plan_id) is PlanState.COMPLETED


def test_without_a_broker_a_retry_runs_by_the_sweep(house: House, spec: Spec, ran: Ran) -> None:
    ran.bad = {"a"}
    plan_id = house.planned(spec("a"))
    house.run_all()
    ran.bad.clear()
    house.queue.room = 0
    retried = house.control().retry(TENANT, plan_id, [FAILED], "ann")
    house.queue.room = math.inf
    house.sweep().run()
    house.run_all()
    assert house.state(retried.plan_id) is PlanState.COMPLETED


def test_a_session_s_failures_are_tried_again_each_plan_once(house: House, spec: Spec, ran: Ran) -> None:
    ran.bad = set("ab")
    plans = [house.planned(spec(text), spec("ok"), session_id="s") for text in "ab"]
    house.planned(spec("a"))
    house.run_all()
    open_plan = house.planned(spec("c"), session_id="s")
    retried = house.control().retry_ended(TENANT, "s", [FAILED], "ann")
    assert [(each.retry_of, each.created) for each in retried] == [(plan_id, True) for plan_id in plans]
    again = house.control().retry_ended(TENANT, "s", [FAILED], "ann")
    assert [(each.plan_id, each.created) for each in again] == [(each.plan_id, False) for each in retried]
    assert house.state(open_plan) is PlanState.RUNNING


def test_what_cannot_be_tried_again_says_why(house: House, spec: Spec) -> None:
    plan_id = house.planned(spec("a"))
    with pytest.raises(Conflict, match="contradicts"):
        house.control().retry(TENANT, plan_id, [FAILED], "ann")
    house.run_all()
    with pytest.raises(NothingToRetry, match="is failed: there is nothing to try again"):
        house.control().retry(TENANT, plan_id, [FAILED], "ann")
    with pytest.raises(PlanNotFound):
        house.control().retry(TENANT, house.clock.new_id(), [FAILED], "ann")


# Cancelling.


def test_a_plan_without_tasks_is_cancelled_at_once(house: House) -> None:
    house.plans_with(lambda: iter(()))
    plan_id = house.submit()
    assert house.control().cancel(TENANT, plan_id, "ann") is PlanState.CANCELLED
    assert house.queue.stopped == []


def test_a_running_plan_s_open_tasks_are_asked_to_be_closed(house: House, spec: Spec) -> None:
    plan_id = house.planned(spec("a"))
    assert house.control().cancel(TENANT, plan_id, "ann") is PlanState.STOPPING
    assert house.queue.stopped == [PlanRef(tenant_id=TENANT, plan_id=plan_id)]
    house.run_all()
    assert house.state(plan_id) is PlanState.CANCELLED


def test_without_a_broker_a_plan_stops_and_is_closed_later(house: House, spec: Spec) -> None:
    plan_id = house.planned(spec("a"))
    house.queue.room = 0
    assert house.control().cancel(TENANT, plan_id, "ann") is PlanState.STOPPING
    house.queue.room = math.inf
    house.sweep().run()
    house.run_all()
    assert house.state(plan_id) is PlanState.CANCELLED


def test_cancelling_twice_is_once(house: House, spec: Spec) -> None:
    plan_id = house.planned(spec("a"))
    house.control().cancel(TENANT, plan_id, "ann")
    assert house.control().cancel(TENANT, plan_id, "bob") is PlanState.STOPPING
    house.run_all()
    assert house.control().cancel(TENANT, plan_id, "bob") is PlanState.CANCELLED


def test_a_plan_that_ended_or_never_was_is_not_cancelled(house: House) -> None:
    house.plans_with(lambda: iter(()))
    plan_id = house.submit()
    house.run_all()
    with pytest.raises(PlanAlreadyEnded):
        house.control().cancel(TENANT, plan_id, "ann")
    with pytest.raises(PlanNotFound):
        house.control().cancel(TENANT, house.clock.new_id(), "ann")
