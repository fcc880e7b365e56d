"""The Judge: gates what a wave has staged."""

import math
from typing import Any
from uuid import UUID

import pytest

from chimera.errors import StoreUnavailable
from chimera.models.gate.policy import BUILT_IN, Bands, SkillPolicy
from chimera.models.record import canonical_json, sha256
from chimera.models.work.plan import PlanState
from chimera.models.work.result import SuccessOutcome
from chimera.models.work.skill import SkillFailed, Success
from chimera.models.work.task import TaskSpec, TaskState
from chimera.models.work.wave import WaveRef
from tests.unit.services.house import TENANT, House


@pytest.fixture
def spec(house: House) -> TaskSpec:
    return house.skill(answer).task()


def answer(text: str = "fine", confidence: float | None = 0.9) -> Success[str]:
    return Success(text, confidence=confidence)


def of(text: str = "fine", confidence: float | None = 0.9) -> TaskSpec:
    return TaskSpec(skill="answer", input={"text": text, "confidence": confidence})


def worked_off(house: House, *specs: TaskSpec) -> tuple[UUID, WaveRef]:
    """A plan whose first wave is staged."""
    plan_id = house.planned(*specs)
    dispatch = house.queue.dispatches.pop()
    house.run_batches(dispatch)
    return plan_id, dispatch.wave


def reasons(house: House) -> list[str]:
    decisions = house.database.final.values()
    return [reason.rule for decision in decisions for reason in decision.ruling.reasons]


def test_each_result_is_ruled_on_by_itself(house: House, spec: TaskSpec) -> None:
    plan_id, wave = worked_off(house, of(), of(confidence=0.69), of("my password"))
    assert house.judge().judge_wave(wave) == 3
    assert house.states(plan_id) == [TaskState.APPROVED, TaskState.IN_REVIEW, TaskState.IN_REVIEW]
    assert house.state(plan_id) is PlanState.IN_REVIEW


def test_a_card_shows_what_the_gate_found(house: House, spec: TaskSpec) -> None:
    _, wave = worked_off(house, of("my password", confidence=0.5))
    house.judge().judge_wave(wave)
    [card] = house.cards()
    assert [reason.rule for reason in card.reasons] == ["confidence.below", "keyword.password"]
    assert (card.skill, card.confidence, card.policy_version) == ("answer", 0.5, BUILT_IN.version)


def test_judging_again_decides_nothing(house: House, spec: TaskSpec) -> None:
    plan_id, wave = worked_off(house, of(), of(confidence=None))
    house.judge().judge_wave(wave)
    entries = house.plans.entries(TENANT, plan_id, 0, 100)
    assert house.judge().judge_wave(wave) == 0
    assert house.plans.entries(TENANT, plan_id, 0, 100) == entries
    assert len(house.cards()) == 1


def test_a_wave_may_be_judged_in_part(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(of(), of())
    dispatch = house.queue.dispatches.pop()
    first, second = dispatch.batches
    house.worker().run_batch(dispatch.wave, first.task_ids, 10)
    assert house.judge().judge_wave(dispatch.wave) == 1
    assert house.states(plan_id) == [TaskState.APPROVED, TaskState.QUEUED]
    house.worker().run_batch(dispatch.wave, second.task_ids, 10)
    assert house.judge().judge_wave(dispatch.wave) == 1
    assert house.state(plan_id) is PlanState.COMPLETED


def test_an_empty_wave_is_no_work(house: House) -> None:
    assert house.judge().judge_wave(house.wave(house.clock.new_id())) == 0


def test_an_output_that_does_not_fit_the_judge_s_schema_is_denied(house: House, spec: TaskSpec) -> None:
    plan_id, wave = worked_off(house, of())
    key, result = next(iter(house.database.results.items()))
    outcome = canonical_json(SuccessOutcome(output=1, confidence=1.0).model_dump(mode="json"))
    house.database.results[key] = result.model_copy(update={"outcome": outcome, "sha256": sha256(outcome)})
    house.judge().judge_wave(wave)
    assert house.states(plan_id) == [TaskState.DENIED]
    assert house.shown(plan_id).counts.denied == 1


@pytest.mark.parametrize(
    ("retryable", "attempts", "found"),
    [(True, 3, ["failure.broken", "attempts.exhausted"]), (False, 1, ["failure.broken"])],
)
def test_a_failing_task_is_tried_until_that_is_of_no_use(
    house: House, retryable: bool, attempts: int, found: list[str]
) -> None:
    tried: list[int] = []

    def broken() -> None:
        tried.append(1)
        raise SkillFailed("no", code="broken", retryable=retryable)

    plan_id = house.planned(house.skill(broken, max_attempts=3).task())
    house.run_all()
    assert house.states(plan_id) == [TaskState.EXHAUSTED]
    assert house.state(plan_id) is PlanState.COMPLETED_WITH_FAILURES
    assert len(tried) == attempts
    assert reasons(house) == found


def test_a_task_that_works_at_last_is_committed(house: House) -> None:
    tried: list[int] = []

    def flaky() -> Success[int]:
        tried.append(1)
        if len(tried) < 3:
            raise SkillFailed("not yet")
        return Success(len(tried), confidence=1.0)

    plan_id = house.planned(house.skill(flaky).task())
    house.run_all()
    [result] = house.results(plan_id)
    assert (result.state, result.attempt) == (TaskState.APPROVED, 3)


def test_a_task_whose_last_lease_ran_out_is_given_up(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(of().options(max_attempts=1))
    dispatch = house.queue.dispatches.pop()
    ids = dispatch.batches[0].task_ids
    house.work.claim(dispatch.wave, ids, house.clock.new_id(), house.clock.new_id(), 60, house.catalogue.skills)
    house.clock.advance(64)
    assert house.judge().judge_wave(dispatch.wave) == 1
    assert house.states(plan_id) == [TaskState.EXHAUSTED]
    assert reasons(house) == ["attempts.exhausted", "agent.lost"]


def test_an_approved_output_becomes_shared_state(house: House, spec: TaskSpec) -> None:
    house.planned(of("new").options(state_key="k"))
    house.run_all()
    shared = house.database.state[TENANT, "k"][-1]
    assert (shared.value, shared.version) == ("new", 1)


def test_two_tasks_that_want_one_key_get_it_one_after_the_other(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(of("one").options(state_key="k"), of("two").options(state_key="k"))
    house.run_all()
    assert house.states(plan_id) == [TaskState.APPROVED] * 2
    shared = house.database.state[TENANT, "k"][-1]
    assert (shared.value, shared.version) == ("two", 2)


def test_a_result_for_a_person_leaves_shared_state_alone(house: House, spec: TaskSpec) -> None:
    house.planned(of("new", confidence=0.1).options(state_key="k"))
    house.run_all()
    assert house.database.state == {}


def test_the_next_waves_go_out_when_one_is_judged(house: House, spec: TaskSpec) -> None:
    house.planned(*(of() for _ in range(7)), window=1)
    dispatch = house.queue.dispatches.pop()
    house.run_batches(dispatch)
    house.judge(window=1).judge_wave(dispatch.wave)
    assert [sent.wave.wave_no for sent in house.queue.dispatches] == [1]


def test_without_a_broker_the_decisions_stand(house: House, spec: TaskSpec) -> None:
    plan_id = house.planned(*(of() for _ in range(4)), window=1)
    dispatch = house.queue.dispatches.pop()
    house.run_batches(dispatch)
    house.queue.room = 0
    assert house.judge(window=1).judge_wave(dispatch.wave) == 3
    house.queue.room = math.inf
    assert house.states(plan_id) == [TaskState.APPROVED] * 3 + [TaskState.QUEUED]


def test_without_a_store_nothing_is_decided(house: House, spec: TaskSpec) -> None:
    plan_id, wave = worked_off(house, of())
    house.database.available = False
    with pytest.raises(StoreUnavailable):
        house.judge().judge_wave(wave)
    house.database.available = True
    assert house.states(plan_id) == [TaskState.STAGED]


def test_another_policy_rules_otherwise(house: House, spec: TaskSpec) -> None:
    plan_id, wave = worked_off(house, of(confidence=0.75))
    house.apply(name="strict", defaults=SkillPolicy(confidence=Bands(approve=0.8)))
    house.judge().judge_wave(wave)
    assert house.states(plan_id) == [TaskState.IN_REVIEW]
    assert house.cards()[0].policy_version.startswith("strict@v1+")


def test_a_stopping_plan_is_closed_and_the_next_plan_s_waves_go_out(house: House, spec: TaskSpec) -> None:
    stops = house.planned(*(of(confidence=None) for _ in range(6)), window=1)
    dispatch = house.queue.dispatches.pop()
    house.run_batches(dispatch)
    house.judge(window=1).judge_wave(dispatch.wave)
    goes_on = house.planned(of(), window=1)
    house.queue.dispatches.clear()
    house.control().cancel(TENANT, stops, "ann")
    house.judge(window=1).stop_plan(TENANT, stops)
    assert house.state(stops) is PlanState.CANCELLED
    assert set(house.states(stops)) == {TaskState.CANCELLED}
    assert house.cards() == []
    assert [sent.wave.plan_id for sent in house.queue.dispatches] == [goes_on]


def test_a_plan_that_does_not_stop_is_left_alone(house: House, spec: TaskSpec) -> None:
    plan_id, _ = worked_off(house, of())
    house.judge().stop_plan(TENANT, plan_id)
    assert house.states(plan_id) == [TaskState.STAGED]


def test_hostile_outputs_are_gated_like_any_other(house: House) -> None:
    outputs: list[Any] = ["\ud800", "a\x00b", {"": [None] * 50}, "password" * 1000, {"a.b": {"c": "lawyer"}}, -1e308]

    def hostile(number: int) -> Success[Any]:
        return Success(outputs[number], confidence=1.0, evidence=("\u202e",))

    skill = house.skill(hostile)
    plan_id = house.planned(*(skill.task(number) for number in range(len(outputs))))
    house.run_all()
    assert set(house.states(plan_id)) <= {TaskState.APPROVED, TaskState.IN_REVIEW, TaskState.EXHAUSTED}
