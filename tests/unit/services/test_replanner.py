"""Results that the gate sends back: to the task with the reasons, or to the planner first."""

import threading
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import pytest

from chimera.errors import StoreUnavailable
from chimera.models.gate.policy import Bands, SkillPolicy
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.plan import PlanState
from chimera.models.work.replan import MAX_REPLAN_TRIES, DeniedTask, ReplanHook
from chimera.models.work.skill import Skill, Success
from chimera.models.work.task import TaskSpec, TaskState
from chimera.services.task_context import current_task
from tests.fakes import FakeReplanStore
from tests.unit.declared import as_planner
from tests.unit.services.house import TENANT, House

# What is below the threshold goes back, and not to a person.
STRICT = SkillPolicy(confidence=Bands(approve=0.7, hitl=0.7, retry=0.0))


@pytest.fixture
def ran() -> list[tuple[str, list[str]]]:
    """What the skill was called with, and the rules for which it was sent back, in order."""
    return []


@pytest.fixture
def guess(house: House, ran: list[tuple[str, list[str]]]) -> Skill[..., Any]:
    def guess(text: str) -> Success[str]:
        ran.append((text, [reason.rule for reason in current_task().feedback]))
        return Success(text, confidence=0.9 if "sure" in text else 0.2)

    house.apply(name="strict", defaults=STRICT)
    return house.skill(guess, max_attempts=9)


def planned(house: House, specs: Iterable[TaskSpec], hook: ReplanHook | None, **fields: Any) -> UUID:
    """A plan of these tasks by a planner with this hook, its first waves sent."""
    tasks = list(specs)
    planner = house.plans_with(lambda: tasks)
    if hook is not None:
        planner.replan(hook)
    plan_id = house.submit(**fields)
    house.planner().plan(TENANT, plan_id)
    house.queue.plans.clear()
    return plan_id


def asked(house: House, guess: Skill[..., Any], hook: ReplanHook, *texts: str, **fields: Any) -> UUID:
    """A plan whose tasks wait for their planner, the message to that one not yet delivered."""
    plan_id = planned(house, [guess.task(text) for text in texts or ("a",)], hook, **fields)
    [dispatch] = house.queue.dispatches
    house.queue.dispatches.clear()
    house.run_batches(dispatch)
    house.judge().judge_wave(dispatch.wave)
    return plan_id


def sweep_on(house: House, rounds: int = 8) -> None:
    """Lets time pass, and delivers what the sweep sends."""
    for _ in range(rounds):
        house.clock.advance(15)
        house.sweep().run()
        house.run_all()


def reasons(house: House) -> list[tuple[str, object]]:
    """Of the last decision."""
    _, decision = house.database.decided[-1]
    return [(reason.rule, reason.value) for reason in decision.ruling.reasons]


def answers(house: House) -> list[dict[str, Any]]:
    entries = house.database.audit[TENANT]
    return [(entry.facts or {}) for entry in entries if entry.kind == "plan.replan_answered"]


# Without a hook.


def test_without_a_hook_the_task_is_done_again_with_the_reasons(
    house: House, guess: Skill[..., Any], ran: list[tuple[str, list[str]]]
) -> None:
    plan_id = planned(house, [guess.task("a").options(max_attempts=3)], None)
    house.run_all()
    assert ran == [("a", []), ("a", ["confidence.below"]), ("a", ["confidence.below"])]
    assert house.states(plan_id) == [TaskState.EXHAUSTED]
    assert house.state(plan_id) is PlanState.COMPLETED_WITH_FAILURES
    assert house.queue.replans == []


def test_without_a_hook_it_is_done_again_as_often_as_the_policy_says(
    house: House, guess: Skill[..., Any], ran: list[tuple[str, list[str]]]
) -> None:
    house.apply(name="strict", defaults=STRICT, max_replans=2)
    planned(house, [guess.task("a")], None)
    house.run_all()
    assert len(ran) == 3
    assert reasons(house)[-1] == ("replans.exhausted", 2.0)


# With one.


def test_the_hook_s_task_is_done_instead(
    house: House, guess: Skill[..., Any], ran: list[tuple[str, list[str]]]
) -> None:
    seen: list[DeniedTask] = []

    def more(denied: DeniedTask) -> TaskSpec:
        seen.append(denied)
        return denied.task(text=f"{denied.input['text']}, surely")

    plan_id = planned(house, [guess.task("a"), guess.task("sure")], more, goal="know", inputs={})
    house.run_all()
    assert ran == [("a", []), ("sure", []), ("a, surely", ["confidence.below"])]
    assert house.states(plan_id) == [TaskState.APPROVED] * 2
    [denied] = seen
    assert (denied.goal, denied.skill, denied.input, denied.output) == ("know", "guess", {"text": "a"}, "a")
    assert (denied.attempt, denied.max_attempts, denied.depth) == (1, 9, 1)
    assert [str(reason) for reason in denied.feedback] == ["confidence.below 0.20 < 0.7"]


def test_a_hook_may_choose_another_skill(house: House, guess: Skill[..., Any]) -> None:
    def ask_somebody(question: str) -> Success[str]:
        return Success(question, confidence=1.0)

    other = house.skill(ask_somebody, timeout_seconds=33.0)
    plan_id = planned(house, [guess.task("a")], lambda denied: other.task(denied.input["text"]))
    house.run_all()
    [result] = house.results(plan_id)
    assert (result.skill, result.state, result.attempt) == ("ask_somebody", TaskState.APPROVED, 2)
    [row] = house.database.tasks.values()
    assert (row.task.timeout_seconds, row.task.max_attempts) == (33.0, 9)


def test_a_hook_that_answers_nothing_gives_the_task_up(house: House, guess: Skill[..., Any]) -> None:
    plan_id = planned(house, [guess.task("a")], lambda _: None)
    house.run_all()
    assert house.states(plan_id) == [TaskState.DENIED]
    assert house.state(plan_id) is PlanState.COMPLETED
    assert reasons(house) == [("confidence.below", 0.2), ("replan.given_up", None)]


def test_a_task_is_sent_back_five_times_and_no_more(
    house: House, guess: Skill[..., Any], ran: list[tuple[str, list[str]]]
) -> None:
    depths: list[int] = []

    def again(denied: DeniedTask) -> TaskSpec:
        depths.append(denied.depth)
        return denied.task(text=f"{denied.depth}")

    plan_id = planned(house, [guess.task("0")], again)
    house.run_all()
    assert depths == [1, 2, 3, 4, 5]
    assert [text for text, _ in ran] == ["0", "1", "2", "3", "4", "5"]
    assert house.states(plan_id) == [TaskState.EXHAUSTED]
    assert reasons(house)[-1] == ("replans.exhausted", 5.0)


def test_a_task_s_attempts_bound_it_too(house: House, guess: Skill[..., Any]) -> None:
    asked_: list[int] = []

    def again(denied: DeniedTask) -> TaskSpec:
        asked_.append(denied.depth)
        return denied.task()

    plan_id = planned(house, [guess.task("a").options(max_attempts=2)], again)
    house.run_all()
    assert asked_ == [1]
    assert house.states(plan_id) == [TaskState.EXHAUSTED]
    assert reasons(house)[-1] == ("attempts.exhausted", 2.0)


def test_shared_state_that_changed_is_the_planner_s_business(house: House) -> None:
    seen: list[DeniedTask] = []

    def put(text: str) -> Success[str]:
        return Success(text, confidence=1.0)

    def merge(denied: DeniedTask) -> TaskSpec:
        seen.append(denied)
        return denied.task(text="merged").options(state_key="k")

    skill = house.skill(put)
    plan_id = planned(house, [skill.task(text).options(state_key="k") for text in "ab"], merge)
    house.run_all()
    assert house.states(plan_id) == [TaskState.APPROVED] * 2
    assert [entry.value for entry in house.database.state[TENANT, "k"]] == ["a", "merged"]
    assert [reason.rule for reason in seen[0].feedback] == ["state.changed"]


# Hooks that fail.


def raises(_: DeniedTask) -> TaskSpec:
    raise ValueError("the text of the task, which no record holds")


def no_tasks() -> list[TaskSpec]:
    return []


def wrong(answer: Callable[[DeniedTask], object]) -> Any:
    return answer


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (raises, "hook_raised: ValueError (raises, line "),
        (wrong(lambda _: "no task"), "not_a_task: the planner yielded a str"),
        (wrong(lambda _: [TaskSpec(skill="guess", input={})]), "not_a_task: the planner yielded a list"),
        (wrong(lambda _: TaskSpec(skill="ges", input={})), "unknown_skill: the replanned task: no skill named 'ges'"),
        (wrong(lambda denied: denied.task(text=5)), "invalid_task: the replanned task (guess): text: Input should be"),
        (wrong(lambda denied: denied.task(text="x" * 1000)), "input_too_large: the replanned task (guess): 1011 bytes"),
        (wrong(lambda denied: denied.task().options(state_key="k")), "not_replannable: the task keeps its state_key"),
        (wrong(lambda denied: denied.task().options(max_attempts=50)), "not_replannable: the task keeps its max_att"),
        (wrong(lambda d: d.task().options(depends_on=(d.task(),))), "not_replannable: the task keeps its depends_on"),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_a_hook_that_fails_is_asked_again_and_then_its_task_is_denied(
    house: House, guess: Skill[..., Any], hook: ReplanHook, says: str
) -> None:
    plan_id = planned(house, [guess.task("a")], hook)
    house.run_all()
    assert house.states(plan_id) == [TaskState.QUEUED]
    sweep_on(house)
    assert house.states(plan_id) == [TaskState.DENIED]
    assert house.state(plan_id) is PlanState.COMPLETED
    before, (rule, value) = reasons(house)
    assert (before[0], rule) == ("confidence.below", "replan.failed")
    assert str(value).startswith(says)
    assert [answer["again"] for answer in answers(house)] == [True] * (MAX_REPLAN_TRIES - 1) + [False]


def test_what_a_hook_s_error_says_is_not_on_record(house: House, guess: Skill[..., Any]) -> None:
    planned(house, [guess.task("a")], raises)
    house.run_all()
    sweep_on(house)
    assert not any("the text of the task" in entry.body for entry in house.database.audit[TENANT])


def test_a_hook_that_succeeds_later_is_in_time(house: House, guess: Skill[..., Any]) -> None:
    calls: list[int] = []

    def at_last(denied: DeniedTask) -> TaskSpec:
        calls.append(1)
        return denied.task(text="sure") if len(calls) == MAX_REPLAN_TRIES else raises(denied)

    plan_id = planned(house, [guess.task("a")], at_last)
    house.run_all()
    sweep_on(house)
    assert house.states(plan_id) == [TaskState.APPROVED]


def test_a_hook_that_never_answers_is_ended(house: House, guess: Skill[..., Any]) -> None:
    never = threading.Event()

    def wait(denied: DeniedTask) -> TaskSpec:
        never.wait(60)
        return denied.task()

    plan_id = asked(house, guess, wait)
    wave = house.wave(plan_id)
    for _ in range(MAX_REPLAN_TRIES):
        assert house.replanner(timeout_seconds=0.05).replan_wave(wave) == 1
        house.clock.advance(15)
    house.run_all()
    assert house.states(plan_id) == [TaskState.DENIED]
    rule, value = reasons(house)[-1]
    assert (rule, str(value)[:17]) == ("replan.failed", "planner_timeout: ")


def test_a_hook_that_ends_its_process_is_not_started_for_ever(house: House, guess: Skill[..., Any]) -> None:
    calls: list[int] = []

    def never_asked(denied: DeniedTask) -> TaskSpec:
        calls.append(denied.depth)
        return denied.task()

    plan_id = asked(house, guess, never_asked)
    wave, store = house.wave(plan_id), FakeReplanStore(house.database)
    for _ in range(MAX_REPLAN_TRIES):
        assert store.begin(wave, house.clock.new_id(), 8, house.catalogue.planners) is not None
        house.clock.advance(9)
    house.run_all()
    assert calls == []
    assert house.states(plan_id) == [TaskState.DENIED]
    rule, value = reasons(house)[-1]
    assert (rule, str(value)[:14]) == ("replan.failed", "planner_lost: ")


def test_a_planner_that_this_process_lacks_is_left_to_another(house: House, guess: Skill[..., Any]) -> None:
    plan_id = asked(house, guess, lambda denied: denied.task(text="sure"))
    wave, elsewhere = house.wave(plan_id), Catalogue()
    for _ in range(MAX_REPLAN_TRIES + 1):
        assert house.replanner(catalogue=elsewhere).replan_wave(wave) == 0
    assert answers(house) == []
    sweep_on(house)
    assert house.states(plan_id) == [TaskState.APPROVED], "another process knows it"


def test_a_planner_that_lost_its_hook_has_the_task_done_as_it_is(
    house: House, guess: Skill[..., Any], ran: list[tuple[str, list[str]]]
) -> None:
    plan_id = asked(house, guess, lambda denied: denied.task(text="sure"))
    house.catalogue.planners["p"] = as_planner(no_tasks, name="p")
    house.replanner().replan_wave(house.wave(plan_id))
    [dispatch] = house.queue.dispatches
    house.run_batches(dispatch)
    assert ran[-1] == ("a", ["confidence.below"])


# Messages.


def test_a_message_that_comes_twice_asks_once(house: House, guess: Skill[..., Any]) -> None:
    calls: list[int] = []

    def surely(denied: DeniedTask) -> TaskSpec:
        calls.append(denied.depth)
        return denied.task(text="sure")

    plan_id = asked(house, guess, surely)
    wave = house.wave(plan_id)
    assert house.queue.replans == [wave]
    assert [house.replanner().replan_wave(wave) for _ in range(2)] == [1, 0]
    assert len(calls) == 1


def test_a_message_of_another_tenant_asks_nothing(house: House, guess: Skill[..., Any]) -> None:
    house.database.add_tenant("globex")
    plan_id = asked(house, guess, raises)
    theirs = house.wave(plan_id).model_copy(update={"tenant_id": "globex"})
    assert house.replanner().replan_wave(theirs) == 0


def test_a_lost_message_is_the_sweep_s(house: House, guess: Skill[..., Any]) -> None:
    plan_id = asked(house, guess, lambda denied: denied.task(text="sure"))
    house.queue.replans.clear()
    sweep_on(house, rounds=1)
    assert house.states(plan_id) == [TaskState.APPROVED]


def test_a_broker_that_does_not_answer_costs_nothing(house: House, guess: Skill[..., Any]) -> None:
    plan_id = planned(house, [guess.task("a")], lambda _: None)
    [dispatch] = house.queue.dispatches
    house.queue.dispatches.clear()
    house.run_batches(dispatch)
    house.queue.room = 0
    house.judge().judge_wave(dispatch.wave)
    house.replanner().replan_wave(dispatch.wave)
    assert house.states(plan_id) == [TaskState.QUEUED]
    house.queue.room = 100
    sweep_on(house, rounds=2)
    assert house.states(plan_id) == [TaskState.DENIED]


def test_a_long_wave_lets_others_have_their_turn(house: House, guess: Skill[..., Any]) -> None:
    plan_id = asked(house, guess, lambda denied: denied.task(text="sure"), "a", "b", "c")
    house.queue.replans.clear()
    assert house.replanner(turn_seconds=0.0).replan_wave(house.wave(plan_id)) == 0
    assert house.queue.replans == [house.wave(plan_id)]
    house.run_all()
    assert house.states(plan_id) == [TaskState.APPROVED] * 3


def test_a_cancelled_plan_asks_nothing_more(house: House, guess: Skill[..., Any]) -> None:
    plan_id = asked(house, guess, raises)
    house.control().cancel(TENANT, plan_id, "ann")
    house.run_all()
    assert answers(house) == []
    assert house.states(plan_id) == [TaskState.CANCELLED]
    assert house.state(plan_id) is PlanState.CANCELLED


def test_a_plan_that_is_cancelled_while_its_planner_answers_ends_cancelled(
    house: House, guess: Skill[..., Any]
) -> None:
    def cancels(denied: DeniedTask) -> TaskSpec:
        house.control().cancel(TENANT, denied.plan_id, "ann")
        return denied.task(text="sure")

    plan_id = asked(house, guess, cancels)
    house.run_all()
    assert answers(house) == []
    assert house.states(plan_id) == [TaskState.CANCELLED]


def test_without_the_store_nothing_is_asked(house: House, guess: Skill[..., Any]) -> None:
    plan_id = asked(house, guess, raises)
    house.database.available = False
    with pytest.raises(StoreUnavailable):
        house.replanner().replan_wave(house.wave(plan_id))


def test_judging_twice_what_was_given_up_decides_once(house: House, guess: Skill[..., Any]) -> None:
    plan_id = asked(house, guess, lambda _: None)
    wave = house.wave(plan_id)
    house.replanner().replan_wave(wave)
    assert [house.judge().judge_wave(wave) for _ in range(2)] == [1, 0]
    assert len(house.database.final) == 1
