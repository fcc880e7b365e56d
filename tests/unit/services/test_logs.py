"""Every line of the log on a plan's way has the trace of its request, and ids as the command line takes them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from chimera import DeniedTask
from chimera.models.ids import IdKind, format_id
from chimera.models.work.skill import Success
from chimera.models.work.task import TaskSpec
from tests.unit.services.house import TENANT, House
from tests.unit.services.test_replanner import STRICT

Lines = list[Any]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured


def events(lines: Lines) -> set[str]:
    return {line["event"] for line in lines}


def test_planning_sending_judging_and_deciding(house: House, lines: Lines) -> None:
    def sure(text: str) -> Success[str]:
        return Success(text, confidence=0.9)

    spec = house.skill(sure).task("a")
    plan_id = house.planned(spec, spec, spec, spec, trace_id="trace-7")
    house.run_all()
    assert {"plan_planned", "wave_sent", "wave_judged", "task_decided"} <= events(lines)
    assert {line["trace_id"] for line in lines} == {"trace-7"}
    assert {line["plan_id"] for line in lines if line["event"] == "wave_sent"} == {format_id(IdKind.PLAN, plan_id)}


def test_waves_of_another_plan_that_the_judge_sends_have_their_own(house: House, lines: Lines) -> None:
    def sure(text: str) -> Success[str]:
        return Success(text, confidence=0.9)

    spec = house.skill(sure).task("a")
    first = house.planned(spec, window=1, trace_id="trace-1")
    second = house.planned(spec, window=1, trace_id="trace-2")
    [dispatch] = house.queue.dispatches
    house.run_batches(dispatch)
    house.judge(window=1).judge_wave(house.wave(first))
    sent = [(line["plan_id"], line["trace_id"]) for line in lines if line["event"] == "wave_sent"]
    assert sent == [(format_id(IdKind.PLAN, first), "trace-1"), (format_id(IdKind.PLAN, second), "trace-2")]


def test_a_planner_that_fails(house: House, lines: Lines) -> None:
    def broken() -> Iterator[TaskSpec]:
        raise RuntimeError
        yield

    house.plans_with(broken)
    house.submit(trace_id="trace-7")
    house.run_all()
    assert [(line["event"], line["trace_id"]) for line in lines] == [("plan_failed", "trace-7")]


def test_a_hook_that_fails(house: House, lines: Lines) -> None:
    def doubtful(text: str) -> Success[str]:
        return Success(text, confidence=0.1)

    def plan() -> Iterator[TaskSpec]:
        yield skill.task("a")

    def hook(_: DeniedTask) -> TaskSpec:
        raise RuntimeError

    house.apply(name="strict", defaults=STRICT)
    skill = house.skill(doubtful)
    house.plans_with(plan).replan(hook)
    house.submit(trace_id="trace-7")
    house.run_all()
    [failed, *_] = [line for line in lines if line["event"] == "replan_failed"]
    assert re.fullmatch("tk_[0-9a-f]{32}", failed["task_id"])
    assert (failed["trace_id"], failed["attempt"]) == ("trace-7", 1)


def test_without_a_broker(house: House, lines: Lines) -> None:
    def sure(text: str) -> Success[str]:
        return Success(text, confidence=0.9)

    house.queue.room = 0
    plan_id = house.planned(house.skill(sure).task("a"), trace_id="trace-7")
    ids = {"tenant_id": TENANT, "plan_id": format_id(IdKind.PLAN, plan_id), "trace_id": "trace-7"}
    assert events(lines) == {"plan_not_published", "plan_planned", "wave_not_published"}
    for line in lines:
        assert line["event"] == "plan_planned" or ids.items() <= line.items()


def test_what_the_sweep_does_about_one_plan(house: House, lines: Lines) -> None:
    def dies(text: str) -> Success[str]:
        house.database.available = False  # as for a worker that is gone
        return Success(text, confidence=0.9)

    plan_id = house.planned(house.skill(dies, max_attempts=2).task("a"), trace_id="trace-7")
    with pytest.raises(Exception, match=r"."):
        house.run_batches(house.queue.dispatches[-1])
    house.database.available = True
    lines.clear()
    house.clock.advance(60)
    house.sweep().run()
    taken_back, sent, _ = lines
    ids = {"tenant_id": TENANT, "plan_id": format_id(IdKind.PLAN, plan_id), "wave_no": 0, "trace_id": "trace-7"}
    [row] = house.database.tasks.values()
    assert row.agent_id is not None
    lost = {"task_id": format_id(IdKind.TASK, row.task.task_id), "attempt": 1}
    assert (taken_back["event"], taken_back["log_level"], sent["event"]) == ("lease_lost", "warning", "wave_sent")
    assert taken_back.items() >= (ids | lost | {"agent_id": format_id(IdKind.AGENT, row.agent_id)}).items()
    assert ids.items() <= sent.items()
