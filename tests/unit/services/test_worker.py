"""Running a batch: claim, run, stage."""

import json
from uuid import UUID

import pytest

from chimera.errors import StoreUnavailable
from chimera.models.record import sha256
from chimera.models.result import FailureOutcome, SuccessOutcome, Usage
from chimera.models.skill import SkillFailed, Success
from chimera.models.task import TaskSpec, TaskState
from chimera.models.wave import Dispatch
from chimera.services.worker import LEASE_MARGIN_SECONDS
from tests.unit.services.house import House


@pytest.fixture
def ran() -> list[str]:
    """The texts that the skill was called with, in order."""
    return []


@pytest.fixture
def spec(house: House, ran: list[str]) -> TaskSpec:
    def echo(text: str) -> Success[str]:
        ran.append(text)
        if text == "fail":
            raise SkillFailed("as asked")
        return Success(text.upper(), confidence=0.9, usage=Usage(tokens=3))

    return house.skill(echo, timeout_seconds=10.0).task("a")


def sent(house: House, *specs: TaskSpec) -> tuple[UUID, Dispatch]:
    plan_id = house.planned(*specs)
    return plan_id, house.queue.dispatches[-1]


def test_what_is_free_is_run_and_staged(house: House, spec: TaskSpec, ran: list[str]) -> None:
    plan_id, dispatch = sent(house, spec, spec)
    assert house.run_batches(dispatch) == 2
    assert house.states(plan_id) == [TaskState.STAGED] * 2
    assert house.outcomes(plan_id) == [SuccessOutcome(output="A", confidence=0.9)] * 2
    assert ran == ["a", "a"]


def test_a_message_that_comes_twice_runs_nothing_twice(house: House, spec: TaskSpec, ran: list[str]) -> None:
    _, dispatch = sent(house, spec)
    assert house.run_batches(dispatch) == 1
    assert house.run_batches(dispatch) == 0
    assert ran == ["a"]


def test_a_result_says_what_when_and_how_much(house: House, spec: TaskSpec) -> None:
    _, dispatch = sent(house, spec)
    house.run_batches(dispatch)
    [result] = house.database.results.values()
    assert (result.attempt, result.usage) == (1, Usage(tokens=3))
    assert result.sha256 == sha256(result.outcome)
    assert result.started_at == result.finished_at == house.clock.now()


def test_one_failure_does_not_keep_the_others_from_being_staged(house: House, spec: TaskSpec) -> None:
    bad = TaskSpec(skill="echo", input={"text": "fail"})
    plan_id, dispatch = sent(house, bad, spec)
    assert house.run_batches(dispatch) == 2
    kinds = [type(outcome) for outcome in house.outcomes(plan_id)]
    assert kinds == [FailureOutcome, SuccessOutcome]


def test_a_task_whose_dependency_was_not_approved_is_not_run(house: House, spec: TaskSpec, ran: list[str]) -> None:
    bad = TaskSpec(skill="echo", input={"text": "fail"}).options(max_attempts=1)
    plan_id, dispatch = sent(house, bad, spec.options(depends_on=(bad,)))
    house.run_batches(dispatch)
    house.judge().judge_wave(dispatch.wave)
    house.run_batches(house.queue.dispatches[-1])
    assert ran == ["fail"]
    outcome = house.outcomes(plan_id)[1]
    assert isinstance(outcome, FailureOutcome)
    assert (outcome.code, outcome.retryable) == ("dependency_not_approved", False)
    assert outcome.message == "1 of the tasks it depends on were not approved"


def test_a_skill_that_this_worker_does_not_know_is_a_failure(house: House, spec: TaskSpec) -> None:
    plan_id, dispatch = sent(house, spec)
    del house.catalogue.skills["echo"]
    assert house.run_batches(dispatch) == 1
    [outcome] = house.outcomes(plan_id)
    assert isinstance(outcome, FailureOutcome)
    assert (outcome.code, outcome.retryable) == ("unknown_skill", False)


def test_the_lease_covers_the_batch_s_timeout_and_a_margin(house: House) -> None:
    leases: list[float] = []

    def look() -> None:
        [row] = house.database.tasks.values()
        assert row.lease is not None
        leases.append((row.lease.until - house.clock.now()).total_seconds())

    _, dispatch = sent(house, house.skill(look, timeout_seconds=7.0).task())
    house.run_batches(dispatch)
    assert leases == [7.0 + LEASE_MARGIN_SECONDS]


def test_a_result_that_comes_after_its_lease_was_taken_is_dropped(house: House) -> None:
    def late() -> None:
        if not late_already:
            late_already.append(True)
            house.clock.advance(3600)
            assert house.run_batches(dispatch) == 1

    late_already: list[bool] = []
    plan_id, dispatch = sent(house, house.skill(late).task())
    assert house.run_batches(dispatch) == 0
    [result] = house.results(plan_id)
    assert (result.state, result.attempt) == (TaskState.STAGED, 2)


def test_an_output_over_the_limit_is_staged_as_a_failure(house: House) -> None:
    def much() -> str:
        return "x" * 1000

    plan_id, dispatch = sent(house, house.skill(much).task())
    house.worker(max_output_bytes=100).run_batch(dispatch.wave, dispatch.batches[0].task_ids, 10)
    [outcome] = house.outcomes(plan_id)
    assert isinstance(outcome, FailureOutcome)
    assert outcome.code == "output_too_large"


def test_without_a_store_nothing_is_run(house: House, spec: TaskSpec, ran: list[str]) -> None:
    _, dispatch = sent(house, spec)
    house.database.available = False
    with pytest.raises(StoreUnavailable):
        house.run_batches(dispatch)
    assert ran == []


def test_a_store_that_goes_away_meanwhile_leaves_the_lease_to_run_out(house: House) -> None:
    def cut() -> None:
        house.database.available = False

    plan_id, dispatch = sent(house, house.skill(cut).task())
    with pytest.raises(StoreUnavailable):
        house.run_batches(dispatch)
    house.database.available = True
    assert house.states(plan_id) == [TaskState.RUNNING]


def test_what_is_staged_is_canonical(house: House, spec: TaskSpec) -> None:
    _, dispatch = sent(house, spec)
    house.run_batches(dispatch)
    [result] = house.database.results.values()
    assert result.outcome == json.dumps(json.loads(result.outcome), sort_keys=True, separators=(",", ":"))
