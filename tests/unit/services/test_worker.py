"""Running a batch: claim, run, stage."""

import json
import threading
from time import monotonic
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from chimera.errors import StoreUnavailable
from chimera.models.gate.policy import Floor, Policy
from chimera.models.record import sha256
from chimera.models.work.result import FailureOutcome, SuccessOutcome, Usage
from chimera.models.work.skill import SkillFailed, Success
from chimera.models.work.task import TaskSpec, TaskState
from chimera.models.work.timing import LEASE_SECONDS
from chimera.models.work.wave import Dispatch
from tests.fakes import FakePolicyStore, FakeWorkStore
from tests.unit.services.house import TENANT, House


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


def test_tasks_of_a_skill_that_this_worker_lacks_are_left_to_others(house: House, spec: TaskSpec) -> None:
    plan_id, dispatch = sent(house, spec, spec)
    known = house.catalogue.skills.pop("echo")
    assert house.run_batches(dispatch) == 0
    assert house.states(plan_id) == [TaskState.QUEUED] * 2
    assert [result.attempt for result in house.results(plan_id)] == [0, 0]
    assert house.queue.refused() == {}
    assert house.database.waves[dispatch.wave].skill_waits_since == house.clock.now()
    house.catalogue.add_skill(known)
    assert house.run_batches(dispatch) == 2


def test_tasks_of_a_tenant_that_is_isolated_are_left_to_workers_at_level_host(house: House, spec: TaskSpec) -> None:
    plan_id, dispatch = sent(house, spec, spec)
    FakePolicyStore(house.database).apply(None, Policy(floor=Floor(isolated="*")), "bob")
    with capture_logs() as logs:
        assert house.run_batches(dispatch) == 0
    assert {line["event"] for line in logs} == {"level_lacking"}
    assert [(result.state, result.attempt) for result in house.results(plan_id)] == [(TaskState.QUEUED, 0)] * 2
    assert house.queue.refused() == {}
    house.work = FakeWorkStore(house.database, "host")
    assert house.run_batches(dispatch) == 2


def test_a_batch_is_claimed_with_a_short_lease_that_is_then_kept(house: House) -> None:
    leases: list[float] = []

    def look() -> None:
        [row] = house.database.tasks.values()
        assert row.lease is not None
        leases.append((row.lease.until - house.clock.now()).total_seconds())

    _, dispatch = sent(house, house.skill(look, timeout_seconds=700.0).task())
    house.run_batches(dispatch)
    assert leases == [LEASE_SECONDS]


def test_a_result_that_comes_after_its_lease_was_taken_back_changes_nothing_and_is_on_record(house: House) -> None:
    runs: list[int] = []

    def late() -> int:
        runs.append(len(runs))
        if len(runs) == 1:
            house.clock.advance(60)
            house.sweep().run()
            assert house.run_batches(house.queue.dispatches[-1]) == 1
        return len(runs)

    plan_id, dispatch = sent(house, house.skill(late).task())
    assert house.run_batches(dispatch) == 0
    [result] = house.results(plan_id)
    assert (result.state, result.attempt) == (TaskState.STAGED, 2)
    [stale] = house.database.stale.values()
    assert stale.attempt == 1


def test_slow_tasks_are_staged_as_they_come(house: House) -> None:
    staged: list[int] = []

    def slow() -> None:
        staged.append(sum(state is TaskState.STAGED for state in house.states(plan_id)))
        house.clock.advance(0.6)

    skill = house.skill(slow, max_batch=8)
    plan_id = house.planned(*[skill.task() for _ in range(3)])
    [dispatch] = house.queue.dispatches
    house.worker().run_batch(dispatch.wave, [row.task_id for row in house.results(plan_id)], 10)
    assert staged == [0, 1, 2]


def test_when_nothing_more_may_start_the_rest_goes_back_with_its_attempt_unused(house: House) -> None:
    worker = house.worker()

    def drain() -> None:
        worker.drain()

    skill = house.skill(drain, max_batch=8)
    plan_id = house.planned(*[skill.task() for _ in range(3)])
    [dispatch] = house.queue.dispatches
    ids = [row.task_id for row in house.results(plan_id)]
    assert worker.run_batch(dispatch.wave, ids, 10) == 1
    rows = [(row.state, row.attempt) for row in house.results(plan_id)]
    assert rows == [(TaskState.STAGED, 1), (TaskState.QUEUED, 0), (TaskState.QUEUED, 0)]
    assert worker.run_batch(dispatch.wave, ids, 10) == 0
    assert house.worker().run_batch(dispatch.wave, ids, 10) == 2


def test_a_call_whose_plan_is_cancelled_ends_and_the_rest_is_not_started(house: House, ran: list[str]) -> None:
    over = threading.Event()

    def wait(text: str) -> None:
        ran.append(text)
        house.control().cancel(TENANT, plan_id, "ann")
        house.judge().stop_plan(TENANT, plan_id)
        over.wait(30)

    skill = house.skill(wait, max_batch=8, timeout_seconds=30.0)
    plan_id = house.planned(skill.task("a"), skill.task("b"))
    [dispatch] = house.queue.dispatches
    began = monotonic()
    assert house.worker().run_batch(dispatch.wave, [row.task_id for row in house.results(plan_id)], 60) == 0
    assert monotonic() - began < 10
    assert ran == ["a"]
    assert house.states(plan_id) == [TaskState.CANCELLED] * 2


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


def test_a_store_that_goes_away_for_good_leaves_the_lease_to_run_out(house: House) -> None:
    def cut() -> None:
        house.database.available = False

    plan_id, dispatch = sent(house, house.skill(cut).task())
    with pytest.raises(StoreUnavailable):
        house.run_batches(dispatch)
    house.database.available = True
    assert house.states(plan_id) == [TaskState.RUNNING]


def test_a_result_waits_for_a_store_that_is_away_for_a_moment(house: House, ran: list[str]) -> None:
    def cut() -> None:
        ran.append("cut")
        house.database.available = False
        threading.Timer(0.15, setattr, (house.database, "available", True)).start()

    plan_id, dispatch = sent(house, house.skill(cut).task())
    assert house.run_batches(dispatch) == 1
    assert (house.states(plan_id), ran) == ([TaskState.STAGED], ["cut"])


def test_what_is_staged_is_canonical(house: House, spec: TaskSpec) -> None:
    _, dispatch = sent(house, spec)
    house.run_batches(dispatch)
    [result] = house.database.results.values()
    assert result.outcome == json.dumps(json.loads(result.outcome), sort_keys=True, separators=(",", ":"))


def test_a_batch_starts_no_task_that_could_end_after_the_broker_gives_its_message_away(house: House) -> None:
    ran: list[int] = []

    def slow(number: int) -> Success[int]:
        ran.append(number)
        house.clock.advance(1000)
        return Success(number, confidence=0.9)

    plan_id, dispatch = sent(house, *[house.skill(slow, timeout_seconds=2600.0).task(number) for number in range(3)])
    [first, _] = dispatch.batches
    assert len(first.task_ids) == 2
    assert house.run_batches(dispatch) == 2
    assert ran == [0, 2]
    assert house.states(plan_id) == [TaskState.STAGED, TaskState.QUEUED, TaskState.STAGED]
    assert [result.attempt for result in house.results(plan_id)] == [1, 0, 1]
    [rest] = house.queue.dispatches[-1].batches
    assert rest.task_ids == first.task_ids[1:]
    assert house.run_batches(house.queue.dispatches[-1]) == 1
    assert ran == [0, 2, 1]
