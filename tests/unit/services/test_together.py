"""Async skills of one batch: all at the same time, each with its own task, time and end."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from chimera.models.ids import IdKind, format_id
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from chimera.models.work.task import TaskState
from chimera.services.task_context import current_task
from tests.unit.services.house import TENANT, House


def batch(house: House, *texts: str, **options: Any) -> tuple[UUID, Any]:
    """A plan of one batch that calls the async skill `ask` with each of these."""
    skill = house.catalogue.skill("ask")
    plan_id = house.planned(*[skill.task(text).options(**options) for text in texts])
    [dispatch] = house.queue.dispatches
    return plan_id, dispatch


def run(house: House, plan_id: UUID, dispatch: Any) -> int:
    return house.worker().run_batch(dispatch.wave, [row.task_id for row in house.results(plan_id)], 60)


def test_they_run_at_the_same_time(house: House) -> None:
    together = asyncio.Barrier(3)

    async def ask(text: str) -> str:
        await together.wait()  # nobody passes before all three are here
        return text.upper()

    house.skill(ask, max_batch=8, timeout_seconds=20.0)
    plan_id, dispatch = batch(house, "a", "b", "c")
    assert run(house, plan_id, dispatch) == 3
    assert house.outcomes(plan_id) == [SuccessOutcome(output=text) for text in "ABC"]


def test_in_the_threads_pool_too(house: House) -> None:
    together = asyncio.Barrier(3)

    async def ask(text: str) -> str:
        await together.wait()
        return text

    house.skill(ask, max_batch=8, timeout_seconds=20.0)
    plan_id, dispatch = batch(house, "a", "b", "c")
    with ThreadPoolExecutor(max_workers=1) as executor:
        assert executor.submit(run, house, plan_id, dispatch).result() == 3


def test_each_knows_its_own_task(house: House) -> None:
    together = asyncio.Barrier(3)

    async def ask(text: str) -> str:
        before = current_task().task_id
        await together.wait()
        assert before == current_task().task_id
        return format_id(IdKind.TASK, before)

    house.skill(ask, max_batch=8, timeout_seconds=20.0)
    plan_id, dispatch = batch(house, "a", "b", "c")
    run(house, plan_id, dispatch)
    assert house.outcomes(plan_id) == [
        SuccessOutcome(output=format_id(IdKind.TASK, row.task_id)) for row in house.results(plan_id)
    ]


def test_who_overruns_is_cancelled_alone(house: House) -> None:
    cancelled: list[str] = []

    async def ask(text: str) -> str:
        try:
            await asyncio.sleep(60 if text == "slow" else 0.3)
        except asyncio.CancelledError:
            cancelled.append(text)
            raise
        return text

    house.skill(ask, max_batch=8)
    skill = house.catalogue.skill("ask")
    plan_id = house.planned(
        skill.task("a").options(timeout_seconds=20.0), skill.task("slow").options(timeout_seconds=0.1), skill.task("b")
    )
    [dispatch] = house.queue.dispatches
    began = monotonic()
    assert run(house, plan_id, dispatch) == 3
    assert monotonic() - began < 15
    first, second, third = house.outcomes(plan_id)
    assert (first, third) == (SuccessOutcome(output="a"), SuccessOutcome(output="b"))
    assert isinstance(second, FailureOutcome)
    assert (second.code, second.message) == ("timeout", "ran longer than 0.1 s")
    assert cancelled == ["slow"]


def test_one_failure_and_one_bad_input_are_theirs_alone(house: House) -> None:
    async def ask(text: str) -> str:
        if text == "bad":
            raise SystemExit("now")
        return text

    house.skill(ask, max_batch=8)
    plan_id, dispatch = batch(house, "a", "bad", "c")
    [_, _, row] = house.database.tasks.values()
    row.task = row.task.model_copy(update={"input": "{}"})
    assert run(house, plan_id, dispatch) == 3
    first, second, third = house.outcomes(plan_id)
    assert first == SuccessOutcome(output="a")
    assert isinstance(second, FailureOutcome)
    assert isinstance(third, FailureOutcome)
    assert (second.code, third.code) == ("skill_raised", "invalid_input")


def test_what_is_there_is_staged_while_the_rest_runs(house: House) -> None:
    staged = threading.Event()

    async def ask(text: str) -> str:
        if text == "first":
            house.clock.advance(0.6)  # long enough for a batch to stage what it has
            return text
        while not staged.is_set():
            await asyncio.sleep(0.005)
            if TaskState.STAGED in house.states(plan_id):
                staged.set()
        return text

    house.skill(ask, max_batch=8, timeout_seconds=20.0)
    plan_id, dispatch = batch(house, "first", "last", timeout_seconds=10.0)
    assert run(house, plan_id, dispatch) == 2
    assert staged.is_set()


def test_all_are_cancelled_with_their_plan(house: House) -> None:
    cancelled: list[str] = []
    began = threading.Barrier(2)

    async def ask(text: str) -> str:
        if text == "last":
            await asyncio.to_thread(began.wait, 10)
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(text)
        return text

    house.skill(ask, max_batch=8, timeout_seconds=60.0)
    plan_id, dispatch = batch(house, "first", "last")
    with ThreadPoolExecutor(max_workers=1) as executor:
        running = executor.submit(run, house, plan_id, dispatch)
        began.wait(10)
        house.control().cancel(TENANT, plan_id, "ann")
        house.judge().stop_plan(TENANT, plan_id)
        assert running.result(20) == 0
    end = monotonic() + 10
    while len(cancelled) < 2:
        assert monotonic() < end
        time.sleep(0.005)
    assert house.states(plan_id) == [TaskState.CANCELLED] * 2


@pytest.mark.parametrize("blocks", ["a loop", "a call"])
def test_one_that_holds_the_event_loop_does_not_hold_the_next_batch(
    house: House, blocks: str, never: threading.Event
) -> None:
    async def ask(text: str) -> str:
        while text == "hold" and not never.is_set():
            if blocks == "a call":
                with contextlib.suppress(BaseException):
                    never.wait(60)
        return text

    house.skill(ask, max_batch=8)
    worker = house.worker()
    skill = house.catalogue.skill("ask")
    plan_id = house.planned(skill.task("hold").options(timeout_seconds=0.2))
    worker.run_batch(house.queue.dispatches[-1].wave, [row.task_id for row in house.results(plan_id)], 10)
    [outcome] = house.outcomes(plan_id)
    assert isinstance(outcome, FailureOutcome)
    assert outcome.code == "timeout"
    plan_id = house.planned(skill.task("fine").options(timeout_seconds=20.0))
    worker.run_batch(house.queue.dispatches[-1].wave, [row.task_id for row in house.results(plan_id)], 10)
    assert house.outcomes(plan_id) == [SuccessOutcome(output="fine")]
