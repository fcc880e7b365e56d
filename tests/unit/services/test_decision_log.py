"""The log: one line for each decision, of the gate and of people, with who, what and by which rules."""

from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from chimera.errors import Conflict
from chimera.models.gate.policy import BUILT_IN, SkillPolicy
from chimera.models.ids import IdKind, format_id
from chimera.models.work.plan import PlanState
from chimera.models.work.skill import SkillFailed, Success
from tests.unit.services.house import TENANT, House

SECRET = "my password is tulip"


def answer(text: str, confidence: float | None = 0.9) -> Success[str]:
    if text == "broken":
        raise SkillFailed("it broke over tulips", code="broken", retryable=False)
    return Success(text, confidence=confidence)


@pytest.fixture(autouse=True)
def _skill(house: House) -> None:
    house.skill(answer)


def lines(logged: list[EventDict]) -> list[EventDict]:
    return [line for line in logged if line["event"] == "task_decided"]


def decided(house: House, *calls: tuple[str, float | None], **fields: Any) -> tuple[str, list[EventDict]]:
    """What is logged of a plan of these tasks, worked off and judged; and the plan's id."""
    skill = house.catalogue.skills["answer"]
    plan_id = house.planned(*(skill.task(text, confidence) for text, confidence in calls), **fields)
    with capture_logs() as logged:
        house.run_all()
    return format_id(IdKind.PLAN, plan_id), lines(logged)


def test_each_ruling_of_the_gate_is_a_line(house: House) -> None:
    plan, [approved, asked, denied] = decided(house, ("fine", 0.9), (SECRET, 0.61), ("broken", None), trace_id="trace")
    tasks = [format_id(IdKind.TASK, row.task.task_id) for row in house.database.tasks.values()]
    agents = {format_id(IdKind.AGENT, agent) for agent in house.database.staged_by.values()}
    common = {
        "event": "task_decided",
        "log_level": "info",
        "tenant_id": TENANT,
        "plan_id": plan,
        "attempt": 1,
        "policy": BUILT_IN.version,
        "decided_by": "policy",
        "trace_id": "trace",
    }
    assert {approved.pop("agent"), asked.pop("agent"), denied.pop("agent")} == agents
    assert approved == common | {
        "task_id": tasks[0],
        "verdict": "approve",
        "state": "approved",
        "rules": [],
        "confidence": 0.9,
    }
    assert asked == common | {
        "task_id": tasks[1],
        "verdict": "hitl",
        "state": "in_review",
        "rules": ["confidence.below", "keyword.password"],
        "confidence": 0.61,
    }
    assert denied == common | {
        "task_id": tasks[2],
        "verdict": "deny",
        "state": "exhausted",
        "rules": ["failure.broken"],
        "confidence": None,
    }


def test_no_line_holds_content(house: House) -> None:
    _, logged = decided(house, (SECRET, 0.61), ("broken", None))
    assert len(logged) == 2
    assert "tulip" not in str(logged)


def test_where_shared_state_changed_the_line_says_how_it_was_ruled_then(house: House) -> None:
    skill = house.catalogue.skills["answer"]
    house.planned(*(skill.task(text).options(state_key="k", max_attempts=1) for text in ("one", "two")))
    with capture_logs() as logged:
        house.run_all()
    assert [(line["verdict"], line["rules"]) for line in lines(logged)] == [
        ("approve", []),
        ("deny", ["state.changed", "attempts.exhausted"]),
    ]


def test_what_was_decided_before_is_not_logged_again(house: House) -> None:
    decided(house, ("fine", 0.9))
    [wave] = house.database.waves
    with capture_logs() as logged:
        assert house.judge().judge_wave(wave) == 0
    assert lines(logged) == []


def test_a_person_s_decision_is_a_line(house: House) -> None:
    plan, _ = decided(house, ("unsure", 0.5), ("unsure", 0.4), trace_id="trace")
    reviews = house.reviews()
    first, second = house.cards()
    with capture_logs() as logged:
        reviews.approve(first, "ann", "tulips")
        reviews.deny(second, "bob", "no tulips")
    names = ("verdict", "decided_by", "confidence", "trace_id", "plan_id")
    assert [tuple(line[name] for name in names) for line in lines(logged)] == [
        ("approve", "ann", 0.5, "trace", plan),
        ("deny", "bob", 0.4, "trace", plan),
    ]
    assert [line["task_id"] for line in lines(logged)] == [format_id(IdKind.TASK, c.task_id) for c in (first, second)]
    assert all(line["agent"].startswith("ag_") for line in lines(logged))
    assert "tulip" not in str(logged)


def test_of_an_edited_result_a_person_says_no_confidence(house: House) -> None:
    decided(house, ("unsure", 0.5))
    [card] = house.cards()
    with capture_logs() as logged:
        house.reviews().edit(card, "surely", "ann")
    [line] = lines(logged)
    assert (line["verdict"], line["decided_by"], line["confidence"]) == ("approve", "ann", None)


def test_of_several_approvals_the_one_that_decides_is_a_line(house: House) -> None:
    house.apply(name="p", skills={"answer": SkillPolicy(quorum=2)})
    decided(house, ("unsure", 0.5))
    [card] = house.cards()
    with capture_logs() as logged:
        card = house.reviews().approve(card, "ann")
        assert lines(logged) == []
        house.reviews().approve(card, "bob")
    assert [line["decided_by"] for line in lines(logged)] == ["bob"]


def test_what_is_refused_is_no_line(house: House) -> None:
    decided(house, ("unsure", 0.5))
    [card] = house.cards()
    with capture_logs() as logged, pytest.raises(Conflict):
        house.reviews().approve(card.model_copy(update={"version": 7}), "ann")
    assert lines(logged) == []


def test_what_a_stopping_plan_ends_is_a_line_each(house: House) -> None:
    skill = house.catalogue.skills["answer"]
    plan_id = house.planned(skill.task("one"), skill.task("two"), trace_id="trace")
    house.control().cancel(TENANT, plan_id, "ann")
    with capture_logs() as logged:
        house.judge().stop_plan(TENANT, plan_id)
    assert house.state(plan_id) is PlanState.CANCELLED
    assert [(line["attempt"], line["agent"], line["rules"], line["trace_id"]) for line in lines(logged)] == [
        (0, None, ["plan.cancelled"], "trace")
    ] * 2
