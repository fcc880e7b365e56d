"""Turning a plan into tasks and waves; and planners that do anything else."""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.errors import InvalidInput
from chimera.models.work.plan import PlanFailure, PlanState
from chimera.models.work.task import TaskSpec, TaskState
from chimera.models.work.timing import RESEND_SECONDS
from chimera.services.planner import MAX_PLANNER_ATTEMPTS
from tests.unit import strategies  # noqa: F401  its profile
from tests.unit.services.house import TENANT, House


def echo(text: str) -> str:
    return text


def slow(text: str) -> str:
    return text


def spec(text: str = "a", skill: str = "echo") -> TaskSpec:
    return TaskSpec(skill=skill, input={"text": text})


@pytest.fixture(autouse=True)
def skills(house: House) -> None:
    house.skill(echo, timeout_seconds=5.0, max_attempts=2)
    house.skill(slow, max_batch=1)


def failure(house: House, planner: Callable[..., Any], **limits: Any) -> PlanFailure:
    """Why a plan with this planner failed; nothing of it may be left."""
    house.plans_with(planner)
    plan_id = house.submit()
    assert house.planner(**limits).plan(TENANT, plan_id) == 0
    plan = house.shown(plan_id)
    assert (plan.state, plan.counts.tasks, house.results(plan_id)) == (PlanState.FAILED, 0, [])
    assert house.queue.dispatches == []
    assert plan.failure is not None
    return plan.failure


# Planning.


def test_tasks_are_stored_in_waves_and_the_first_are_sent(house: House) -> None:
    plan_id = house.planned(*(spec(str(number)) for number in range(7)))
    results = house.results(plan_id)
    assert [result.wave_no for result in results] == [0, 0, 0, 1, 1, 1, 2]
    assert [result.ordinal for result in results] == list(range(7))
    assert [dispatch.wave.wave_no for dispatch in house.queue.dispatches] == [0, 1, 2]
    assert house.state(plan_id) is PlanState.RUNNING


def test_only_a_window_of_waves_is_sent(house: House) -> None:
    house.planned(*(spec() for _ in range(7)), window=2)
    assert [dispatch.wave.wave_no for dispatch in house.queue.dispatches] == [0, 1]


def test_a_planner_gets_the_goal_and_the_inputs(house: House) -> None:
    def rows(goal: str, texts: list[str]) -> Iterator[TaskSpec]:
        yield from (spec(f"{goal} {text}") for text in texts)

    house.plans_with(rows)
    plan_id = house.submit(goal="say", inputs={"texts": ["a", "ü"]})
    house.run_all()
    assert [getattr(outcome, "output", None) for outcome in house.outcomes(plan_id)] == ["say a", "say ü"]


def test_a_task_has_its_skill_s_limits_or_its_own(house: House) -> None:
    plan_id = house.planned(spec(), spec().options(timeout_seconds=1.5, max_attempts=7), priority=70)
    tasks = [row.task for row in house.database.tasks.values()]
    assert [(task.timeout_seconds, task.max_attempts) for task in tasks] == [(5.0, 2), (1.5, 7)]
    assert {(task.plan_id, task.priority) for task in tasks} == {(plan_id, 70)}


def test_a_task_keeps_its_label_and_its_state_key(house: House) -> None:
    house.planned(spec().options(label={"category": "bill"}, state_key="k"))
    [task] = [row.task for row in house.database.tasks.values()]
    assert (task.label, task.state_key) == ('{"category":"bill"}', "k")


def test_a_plan_of_no_tasks_completes(house: House) -> None:
    house.plans_with(lambda: ())
    plan_id = house.submit()
    assert house.planner().plan(TENANT, plan_id) == 0
    assert house.state(plan_id) is PlanState.COMPLETED


def test_a_plan_is_planned_once_however_often_it_is_asked_for(house: House) -> None:
    plan_id = house.planned(spec())
    assert house.planner().plan(TENANT, plan_id) == 0
    assert house.planner().plan(TENANT, house.clock.new_id()) == 0
    assert len(house.results(plan_id)) == 1
    assert len(house.queue.dispatches) == 1


def test_without_a_broker_the_tasks_are_stored_and_sent_later(house: House) -> None:
    house.plans_with(lambda: [spec()])
    plan_id = house.submit()
    house.queue.room = 0
    assert house.planner().plan(TENANT, plan_id) == 1
    house.queue.room = math.inf
    house.clock.advance(6)
    house.sweep().run()
    assert [dispatch.wave.plan_id for dispatch in house.queue.dispatches] == [plan_id]


def test_who_loses_the_lease_stores_and_sends_nothing(house: House) -> None:
    planners: list[str] = []

    def slow_then_quick() -> Iterator[TaskSpec]:
        planners.append("another")
        if len(planners) == 1:
            house.clock.advance(3600)
            assert house.planner().plan(TENANT, plan_id) == 2
            yield spec("too late")
        yield from (spec("a"), spec("b"))

    house.plans_with(slow_then_quick)
    plan_id = house.submit()
    assert house.planner().plan(TENANT, plan_id) == 0
    assert [text for text, _ in placed(house, plan_id)] == ["a", "b"]
    assert len(house.queue.dispatches) == 1
    assert house.state(plan_id) is PlanState.RUNNING


def test_a_plan_that_was_stopped_meanwhile_gets_no_tasks(house: House) -> None:
    def stopped() -> Iterator[TaskSpec]:
        yield spec()
        house.control().cancel(TENANT, plan_id, "ann")

    house.plans_with(stopped)
    plan_id = house.submit()
    assert house.planner().plan(TENANT, plan_id) == 0
    assert (house.state(plan_id), house.results(plan_id)) == (PlanState.CANCELLED, [])


# Dependencies.


def placed(house: House, plan_id: UUID) -> list[tuple[str, int]]:
    """The text of each task with its wave, in the order of the waves."""
    rows = sorted(house.database.tasks.values(), key=lambda row: (row.task.wave_no, row.task.ordinal))
    return [(row.task.input[9:-2], row.task.wave_no) for row in rows if row.task.plan_id == plan_id]


def test_a_task_comes_in_a_later_wave_than_those_it_depends_on(house: House) -> None:
    a, b = spec("a"), spec("b")
    c = spec("c").options(depends_on=(a, b))
    d = spec("d").options(depends_on=(c,))
    e = spec("e").options(depends_on=(a,))
    plan_id = house.planned(a, b, c, d, e)
    assert placed(house, plan_id) == [("a", 0), ("b", 0), ("c", 1), ("e", 1), ("d", 2)]


def test_equal_tasks_are_told_apart(house: House) -> None:
    first, second = spec("same"), spec("same")
    house.planned(first, second, spec("c").options(depends_on=(second,)))
    rows = {row.task.ordinal: row.task for row in house.database.tasks.values()}
    assert rows[2].depends_on == (rows[1].task_id,)


@pytest.mark.parametrize("when", ["never", "later", "itself"])
def test_a_task_depends_only_on_what_was_yielded_before(house: House, when: str) -> None:
    other = spec("other")
    needy = spec("needy").options(depends_on=(other,))
    yielded = {"never": [needy], "later": [needy, other], "itself": [spec("x").options(depends_on=(needy,)), needy]}
    found = failure(house, lambda: yielded[when])
    assert found.code == "unknown_dependency"
    assert found.message.startswith("task 0 ")


@given(
    st.lists(st.sets(st.integers(0, 11), max_size=3), min_size=1, max_size=12),
    st.integers(1, 5),
)
def test_no_task_shares_a_wave_with_one_it_depends_on(wishes: list[set[int]], wave_size: int) -> None:
    house = House()
    house.skill(echo)
    specs: list[TaskSpec] = []
    for number, wished in enumerate(wishes):
        before = tuple(specs[other] for other in sorted(wished) if other < number)
        specs.append(spec(str(number)).options(depends_on=before))
    house.plans_with(lambda: specs)
    plan_id = house.submit()
    house.planner(wave_size=wave_size).plan(TENANT, plan_id)

    tasks = {row.task.task_id: row.task for row in house.database.tasks.values()}
    assert [task.ordinal for task in tasks.values()] == [
        task.ordinal for task in sorted(tasks.values(), key=lambda task: (task.wave_no, task.ordinal))
    ]
    assert sorted(task.ordinal for task in tasks.values()) == list(range(len(wishes)))
    for task in tasks.values():
        assert all(tasks[other].wave_no < task.wave_no for other in task.depends_on)
    for wave in house.database.plan_waves(TENANT, plan_id):
        inside = [task for task in tasks.values() if task.wave_no == wave.ref.wave_no]
        assert 1 <= len(inside) <= wave_size
        assert wave.has_dependencies is any(task.depends_on for task in inside)


# Planners that fail.


def wrapped_async() -> Any:
    async def tasks() -> list[TaskSpec]:
        return [spec()]

    return tasks()


def yields(*things: Any) -> Callable[[], Iterable[Any]]:
    return lambda: iter(things)


@pytest.mark.parametrize(
    ("planner", "code", "says"),
    [
        (yields(5), "not_a_task", "the planner yielded a int, not a task"),
        (yields(None), "not_a_task", "NoneType"),
        (yields({"skill": "echo"}), "not_a_task", "dict"),
        (yields(spec(), "echo"), "not_a_task", "str"),
        (lambda: None, "not_tasks", "the planner returned None, not tasks: it yields skill.task(...)"),
        (lambda: 7, "not_tasks", "the planner returned a int, not tasks"),
        (lambda: TaskSpec(skill="echo", input={}), "not_tasks", "the planner returned a TaskSpec, not tasks"),
        (wrapped_async, "not_tasks", "the planner returned a coroutine, not tasks"),
        (yields(spec(skill="ecko")), "unknown_skill", "task 0: no skill named 'ecko'; registered: echo, slow"),
        (yields(spec(), TaskSpec(skill="echo", input={})), "invalid_task", "task 1 (echo): text: Field required"),
        (yields(TaskSpec(skill="echo", input={"text": 1})), "invalid_task", "text: Input should be a valid string"),
        (yields(spec().options(label={"score": math.nan})), "invalid_task", "task 0 (echo): Out of range float"),
        (yields(spec().options(label={"at": object()})), "invalid_task", "not JSON serializable"),
        (yields(spec("x" * 1000)), "input_too_large", "1011 bytes of input, and at most 1000"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_cannot_become_tasks_fails_the_plan(
    house: House, planner: Callable[..., Any], code: str, says: str
) -> None:
    found = failure(house, planner)
    assert found.code == code
    assert says in found.message


def test_an_option_that_no_task_can_have_is_told_at_the_planner_s_line(house: House) -> None:
    def patient() -> Iterator[TaskSpec]:
        yield spec().options(timeout_seconds=4000)

    line = patient.__code__.co_firstlineno + 1
    found = failure(house, patient)
    assert found.code == "planner_raised"
    assert "timeout_seconds: at most 3540 (59 minutes)" in found.message
    assert found.message.endswith(f"(patient, line {line})")


def test_a_planner_that_returns_no_tasks_is_told_where_it_stands(house: House) -> None:
    def forgot() -> Any:
        spec()

    assert f"(forgot, test_planner.py line {forgot.__code__.co_firstlineno})" in failure(house, forgot).message


def test_a_planner_that_raises_midway_leaves_nothing(house: House) -> None:
    def broken() -> Iterator[TaskSpec]:
        yield spec()
        raise KeyError("column")

    found = failure(house, broken)
    assert found.code == "planner_raised"
    assert found.message.startswith("KeyError: 'column' (broken, line ")


def test_a_planner_that_wants_to_end_the_process_fails_its_plan(house: House) -> None:
    def leave() -> Iterator[TaskSpec]:
        yield spec()
        raise SystemExit("now")

    assert failure(house, leave).code == "planner_raised"


def test_a_validation_error_of_the_planner_s_own_is_no_fault_of_the_inputs(house: House) -> None:
    def wrong() -> Iterator[TaskSpec]:
        yield spec().options(timeout_seconds=-1)

    assert failure(house, wrong).code == "planner_raised"


def test_a_planner_may_refuse_its_inputs(house: House) -> None:
    def refuse() -> Iterator[TaskSpec]:
        raise InvalidInput("rows: no more than 3 a day")
        yield

    assert failure(house, refuse) == PlanFailure(code="invalid_inputs", message="rows: no more than 3 a day")


def test_a_planner_of_more_tasks_than_allowed_is_not_waited_for(house: House) -> None:
    def endless() -> Iterator[TaskSpec]:
        while True:
            yield spec()

    found = failure(house, endless, max_tasks=4)
    assert found.code == "too_many_tasks"
    assert "more than 4 tasks" in found.message


def test_exactly_the_tasks_that_are_allowed_are_taken(house: House) -> None:
    house.plans_with(lambda: [spec()] * 4)
    assert house.planner(max_tasks=4).plan(TENANT, house.submit()) == 4


def test_a_plan_whose_planner_this_process_lacks_is_left_to_another(house: House) -> None:
    known = house.plans_with(lambda: [spec()])
    plan_id = house.submit()
    del house.catalogue.planners["p"]
    for _ in range(MAX_PLANNER_ATTEMPTS + 1):
        assert house.planner().plan(TENANT, plan_id) == 0
        house.queue.plans.clear()
        house.clock.advance(RESEND_SECONDS + 1)
        assert house.sweep().run() == 1
    assert house.state(plan_id) is PlanState.SUBMITTED
    house.catalogue.add_planner(known)
    assert house.planner().plan(TENANT, plan_id) == 1


def test_inputs_that_no_longer_fit_fail_the_plan(house: House) -> None:
    def old(rows: list[Any]) -> Iterable[TaskSpec]:
        return ()

    def new(rows: list[int]) -> Iterable[TaskSpec]:
        return ()

    house.plans_with(old)
    plan_id = house.submit(inputs={"rows": ["a"]})
    del house.catalogue.planners["p"]
    house.plans_with(new)
    house.planner().plan(TENANT, plan_id)
    found = house.shown(plan_id).failure
    assert found == PlanFailure(
        code="invalid_inputs",
        message="planner 'p': inputs do not fit: "
        "rows.0: Input should be a valid integer, unable to parse string as an integer",
    )


def test_a_planner_that_runs_too_long_fails_its_plan(house: House) -> None:
    never = threading.Event()

    def wait() -> Iterator[TaskSpec]:
        try:
            never.wait(60)
        except Exception:  # noqa: BLE001  that is the case
            yield spec()

    found = failure(house, wait, timeout_seconds=0.05)
    assert found.code == "planner_timeout"
    assert "longer than 0.05 s (CHIMERA_PLANNER_TIMEOUT_SECONDS)" in found.message


def test_a_planner_works_in_any_thread(house: House) -> None:
    house.plans_with(lambda: [spec()])
    plan_id = house.submit()
    with ThreadPoolExecutor(max_workers=1) as executor:
        assert executor.submit(house.planner().plan, TENANT, plan_id).result() == 1


def test_a_planner_whose_process_dies_again_and_again_is_given_up(house: House) -> None:
    house.plans_with(lambda: [spec()])
    plan_id = house.submit()
    for _ in range(MAX_PLANNER_ATTEMPTS):
        # A process that dies leaves its lease.
        assert house.plans.begin_planning(TENANT, plan_id, house.clock.new_id(), 60, house.catalogue.planners)
        house.clock.advance(61)
    assert house.planner().plan(TENANT, plan_id) == 0
    found = house.shown(plan_id).failure
    assert found is not None
    assert found.code == "planner_lost"


def test_a_long_message_of_a_planner_is_cut(house: House) -> None:
    def broken() -> Iterable[TaskSpec]:
        raise ValueError("x" * 1_000_000)

    assert len(failure(house, broken).message) == 2000


def test_tasks_wait_for_an_agent(house: House) -> None:
    plan_id = house.planned(spec(), spec())
    assert house.states(plan_id) == [TaskState.QUEUED] * 2
