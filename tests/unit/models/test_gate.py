"""The gate: what it rules on a staged result."""

import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.decision import Ruling, Verdict
from chimera.models.gate import Policy, Staged, gate, lease_lost, state_conflict, stopped
from chimera.models.result import FailureOutcome, SuccessOutcome, reported_confidence
from chimera.models.rules import TextRule, TextRules
from chimera.models.task import TaskState
from tests.unit import strategies  # noqa: F401  its profile

CONFIDENCES = st.floats(0, 1)


def staged(outcome: SuccessOutcome | FailureOutcome, **fields: Any) -> Staged:
    values: dict[str, Any] = {
        "task_id": UUID(int=1),
        "skill": "echo",
        "input": {},
        "attempt": 1,
        "max_attempts": 3,
        "sha256": bytes(32),
    }
    return Staged(**values | fields, outcome=outcome)


def ruled(confidence: object, output: Any = "fine", *, policy: Policy | None = None, **fields: Any) -> Ruling:
    """The ruling on a success for which a skill reported this confidence."""
    outcome = SuccessOutcome(output=output, confidence=reported_confidence(confidence), **fields)
    return gate(staged(outcome), policy or Policy(), None)


def rules(ruling: Ruling) -> list[str]:
    return [reason.rule for reason in ruling.reasons]


@pytest.mark.parametrize("confidence", [0.70, 0.7000001, 0.999, 1, 1.0])
def test_enough_confidence_is_approved(confidence: float) -> None:
    ruling = ruled(confidence)
    assert (ruling.verdict, ruling.next_state, ruling.reasons) == (Verdict.APPROVE, TaskState.APPROVED, ())
    assert ruling.final


@pytest.mark.parametrize(
    ("confidence", "rule"),
    [
        (0.6999, "confidence.below"),
        (math.nextafter(0.7, 0), "confidence.below"),
        (0, "confidence.below"),
        (0.0, "confidence.below"),
        (-0.0, "confidence.below"),
        (None, "confidence.missing"),
        (math.nan, "confidence.missing"),
        (math.inf, "confidence.missing"),
        ("0.9", "confidence.missing"),
        (True, "confidence.missing"),
        (10**400, "confidence.missing"),
        ([0.9], "confidence.missing"),
        (1.01, "confidence.invalid"),
        (math.nextafter(1, 2), "confidence.invalid"),
        (-0.01, "confidence.invalid"),
        (90, "confidence.invalid"),
    ],
)
def test_any_other_confidence_asks_a_person(confidence: object, rule: str) -> None:
    ruling = ruled(confidence)
    assert (ruling.verdict, ruling.next_state, rules(ruling)) == (Verdict.HITL, TaskState.IN_REVIEW, [rule])
    assert not ruling.final


def test_a_low_confidence_is_shown_beside_its_threshold() -> None:
    [reason] = ruled(0.61).reasons
    assert (reason.value, reason.threshold) == (0.61, 0.70)


def test_the_threshold_is_the_policy_s() -> None:
    policy = Policy(min_confidence=0.9)
    assert ruled(0.89, policy=policy).verdict is Verdict.HITL
    assert ruled(0.90, policy=policy).verdict is Verdict.APPROVE


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_text_rule_asks_a_person_whatever_the_confidence(confidence: float) -> None:
    ruling = ruled(confidence, "Your password is safe")
    assert ruling.verdict is Verdict.HITL
    assert "keyword.password" in rules(ruling)


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ({"output": {"reply": ["password"]}}, "output.reply.0"),
        ({"output": {"password": 1}}, "output"),
        ({"reasoning": "password"}, "reasoning"),
        ({"evidence": ("fine", "password")}, "evidence.1"),
    ],
)
def test_rules_look_everywhere_in_the_outcome(place: dict[str, Any], path: str) -> None:
    values: dict[str, Any] = {"output": "fine", "confidence": 1.0}
    outcome = SuccessOutcome(**values | place)
    [reason] = gate(staged(outcome), Policy(), None).reasons
    assert [span.path for span in reason.spans] == [path]


def test_rules_look_at_the_input_too() -> None:
    outcome = SuccessOutcome(output="fine", confidence=1.0)
    [reason] = gate(staged(outcome, input={"text": "my password"}), Policy(), None).reasons
    assert [span.path for span in reason.spans] == ["input.text"]


def test_an_output_that_does_not_fit_its_schema_is_denied_for_good() -> None:
    outcome = SuccessOutcome(output="fine", confidence=1.0)
    ruling = gate(staged(outcome), Policy(), "value: Input should be a valid integer")
    assert (ruling.verdict, ruling.next_state, rules(ruling)) == (Verdict.DENY, TaskState.DENIED, ["output.schema"])
    assert ruling.final


@pytest.mark.parametrize(
    ("retryable", "attempt", "end", "expected"),
    [
        (True, 1, TaskState.QUEUED, ["failure.broken"]),
        (True, 2, TaskState.QUEUED, ["failure.broken"]),
        (True, 3, TaskState.EXHAUSTED, ["failure.broken", "attempts.exhausted"]),
        (False, 1, TaskState.EXHAUSTED, ["failure.broken"]),
    ],
)
def test_a_failure_is_tried_again_while_that_may_help(
    retryable: bool, attempt: int, end: TaskState, expected: list[str]
) -> None:
    failed = FailureOutcome(code="broken", message="it broke", retryable=retryable)
    ruling = gate(staged(failed, attempt=attempt), Policy(), None)
    assert (ruling.verdict, ruling.next_state, rules(ruling)) == (Verdict.DENY, end, expected)
    assert ruling.final is (end is TaskState.EXHAUSTED)


@pytest.mark.parametrize(("attempt", "end"), [(2, TaskState.QUEUED), (3, TaskState.EXHAUSTED)])
def test_changed_shared_state_is_tried_again_too(attempt: int, end: TaskState) -> None:
    outcome = SuccessOutcome(output="fine", confidence=1.0)
    ruling = state_conflict(staged(outcome, attempt=attempt, state_key="k"))
    assert (ruling.verdict, ruling.next_state) == (Verdict.DENY, end)
    assert (ruling.reasons[0].rule, ruling.reasons[0].value) == ("state.changed", "k")


def test_a_lost_last_attempt_exhausts_the_task() -> None:
    ruling = lease_lost(3)
    assert (ruling.verdict, ruling.next_state, ruling.final) == (Verdict.DENY, TaskState.EXHAUSTED, True)
    assert rules(ruling) == ["attempts.exhausted", "agent.lost"]


@pytest.mark.parametrize("state", [TaskState.CANCELLED, TaskState.EXPIRED])
def test_a_stopped_plan_s_tasks_end_as_the_plan_does(state: TaskState) -> None:
    ruling = stopped(state)
    assert (ruling.verdict, ruling.next_state, rules(ruling)) == (Verdict.DENY, state, [f"plan.{state}"])
    assert ruling.final


def test_a_policy_s_version_changes_with_its_content_only() -> None:
    assert Policy().version == Policy().version
    assert Policy().version.startswith("default@v1+")
    others = [
        Policy(min_confidence=0.71),
        Policy(name="default@v2"),
        Policy(rules=TextRules(rules=(TextRule(name="a", pattern="b"),))),
    ]
    assert len({Policy().version, *(policy.version for policy in others)}) == 4


@given(CONFIDENCES, CONFIDENCES)
def test_more_confidence_is_never_ruled_on_more_strictly(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if ruled(low).verdict is Verdict.APPROVE:
        assert ruled(high).verdict is Verdict.APPROVE


@given(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5))
def test_nothing_is_approved_without_a_number_from_the_threshold_to_one(reported: object) -> None:
    enough = isinstance(reported, int | float) and not isinstance(reported, bool) and 0.7 <= reported <= 1
    assert (ruled(reported).verdict is Verdict.APPROVE) is enough


@given(CONFIDENCES)
def test_the_same_input_always_gets_the_same_ruling(confidence: float) -> None:
    assert ruled(confidence, "see a lawyer") == ruled(confidence, "see a lawyer")
