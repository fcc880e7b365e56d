"""The gate: what it rules on a staged result."""

import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.gate.gate import Staged, gate, lease_lost, state_conflict, stopped
from chimera.models.gate.opinion import Opinion, lowered
from chimera.models.gate.policy import Amount, Bands, Policy, SkillPolicy
from chimera.models.gate.rules import Rule, Then
from chimera.models.work.decision import Ruling, Verdict
from chimera.models.work.result import FailureOutcome, SuccessOutcome, Usage, reported_confidence
from chimera.models.work.task import TaskState
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
    policy = Policy(defaults=asking(confidence=Bands(approve=0.9)))
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


@pytest.mark.parametrize(("replans", "asks"), [(0, True), (1, True), (2, False), (5, False)])
def test_changed_shared_state_asks_the_planner_as_often_as_it_may(replans: int, *, asks: bool) -> None:
    outcome = SuccessOutcome(output="fine", confidence=1.0)
    ruling = state_conflict(staged(outcome, attempt=1, state_key="k", replans=replans), max_replans=2)
    assert (ruling.next_state, ruling.to_planner) == (TaskState.QUEUED, asks)


def test_the_planner_is_asked_about_what_a_result_says_and_not_about_failures() -> None:
    sent_back = gate(staged(SuccessOutcome(output="fine", confidence=0.4)), BANDS, None)
    assert (sent_back.next_state, sent_back.to_planner) == (TaskState.QUEUED, True)
    last = gate(staged(SuccessOutcome(output="fine", confidence=0.4), attempt=3), BANDS, None)
    assert (last.next_state, last.to_planner) == (TaskState.EXHAUSTED, False)
    failed = gate(staged(FailureOutcome(code="broken", message="it broke", retryable=True)), BANDS, None)
    assert (failed.next_state, failed.to_planner) == (TaskState.QUEUED, False)


def test_a_lost_last_attempt_exhausts_the_task() -> None:
    ruling = lease_lost(3)
    assert (ruling.verdict, ruling.next_state, ruling.final) == (Verdict.DENY, TaskState.EXHAUSTED, True)
    assert rules(ruling) == ["attempts.exhausted", "agent.lost"]


@pytest.mark.parametrize("state", [TaskState.CANCELLED, TaskState.EXPIRED])
def test_a_stopped_plan_s_tasks_end_as_the_plan_does(state: TaskState) -> None:
    ruling = stopped(state)
    assert (ruling.verdict, ruling.next_state, rules(ruling)) == (Verdict.DENY, state, [f"plan.{state}"])
    assert ruling.final


def asking(**fields: Any) -> SkillPolicy:
    return SkillPolicy(**fields)


BANDS = Policy(defaults=asking(confidence=Bands(approve=0.8, hitl=0.5, retry=0.3)))


@pytest.mark.parametrize(
    ("confidence", "verdict", "end", "threshold"),
    [
        (0.8, Verdict.APPROVE, TaskState.APPROVED, None),
        (math.nextafter(0.8, 0), Verdict.HITL, TaskState.IN_REVIEW, 0.8),
        (0.5, Verdict.HITL, TaskState.IN_REVIEW, 0.8),
        (math.nextafter(0.5, 0), Verdict.DENY, TaskState.QUEUED, 0.5),
        (0.3, Verdict.DENY, TaskState.QUEUED, 0.5),
        (math.nextafter(0.3, 0), Verdict.DENY, TaskState.DENIED, 0.3),
        (0.0, Verdict.DENY, TaskState.DENIED, 0.3),
    ],
)
def test_bands_lead_from_approval_over_people_and_another_try_to_a_denial(
    confidence: float, verdict: Verdict, end: TaskState, threshold: float | None
) -> None:
    ruling = ruled(confidence, policy=BANDS)
    assert (ruling.verdict, ruling.next_state) == (verdict, end)
    assert [reason.threshold for reason in ruling.reasons] == ([] if threshold is None else [threshold])


def test_a_skill_s_own_policy_goes_before_the_defaults() -> None:
    policy = Policy(defaults=asking(sample=0.5), skills={"echo": asking(confidence=Bands(approve=0.2))})
    assert ruled(0.3, policy=policy).verdict is Verdict.APPROVE
    assert policy.of_skill("echo").sample == 0.5
    assert policy.of_skill("other").confidence == Bands()


@pytest.mark.parametrize(("attempt", "replans", "end"), [(1, 0, "queued"), (3, 0, "exhausted"), (1, 5, "exhausted")])
def test_a_result_is_sent_back_no_more_often_than_it_may_be(attempt: int, replans: int, end: str) -> None:
    low = SuccessOutcome(output="fine", confidence=0.4)
    ruling = gate(staged(low, attempt=attempt, replans=replans), BANDS, None)
    assert (ruling.verdict, ruling.next_state) == (Verdict.DENY, TaskState(end))


def test_every_finding_is_a_reason_and_the_strongest_rules() -> None:
    rules_ = (Rule(name="no.refunds", keywords=("refund",), then=Then.DENY), Rule(name="a.look", keywords=("money",)))
    ruling = ruled(0.1, "a refund of money", policy=Policy(rules=rules_))
    assert (ruling.verdict, ruling.next_state) == (Verdict.DENY, TaskState.DENIED)
    assert set(rules(ruling)) == {"confidence.below", "no.refunds", "a.look"}


@pytest.mark.parametrize(
    ("asked", "fields", "rule"),
    [
        ({"max_result_bytes": 100}, {"size": 101}, "result.size"),
        (
            {"max_usage": Amount(cost_usd=Decimal("0.05"))},
            {"usage": Usage(cost_usd=Decimal("0.0501"))},
            "usage.cost_usd",
        ),
        ({"max_usage": Amount(tokens=10)}, {"usage": Usage(tokens=11)}, "usage.tokens"),
        ({"output_schema": {"type": "object"}}, {}, "output.policy_schema"),
        ({"tools": ("search",)}, {}, "tool.not_allowed"),
        ({"effects": ()}, {}, "effect.not_allowed"),
    ],
)
def test_what_is_over_a_limit_is_denied(asked: dict[str, Any], fields: dict[str, Any], rule: str) -> None:
    outcome = SuccessOutcome(output="fine", confidence=1.0, tools=("search", "shell"), effects=("mail.send",))
    within = {"size": 100, "usage": Usage(cost_usd=Decimal("0.05"), tokens=10)}
    policy = Policy(skills={"echo": asking(**asked)})
    ruling = gate(staged(outcome, **within | fields), policy, None)
    assert (ruling.verdict, rules(ruling)) == (Verdict.DENY, [rule])
    assert gate(staged(outcome, **within), Policy(), None).verdict is Verdict.APPROVE


def test_at_the_limit_is_within_it() -> None:
    limits = asking(max_result_bytes=100, max_usage=Amount(cost_usd=Decimal("0.05"), tokens=10), tools=("search",))
    outcome = SuccessOutcome(output="fine", confidence=1.0, tools=("search",))
    usage = Usage(cost_usd=Decimal("0.050"), tokens=10)
    assert gate(staged(outcome, size=100, usage=usage), Policy(defaults=limits), None).verdict is Verdict.APPROVE


def test_a_schema_s_fault_is_named_without_the_text() -> None:
    schema = {"properties": {"reply": {"maxLength": 3}}, "additionalProperties": False}
    policy = Policy(defaults=asking(output_schema=schema))
    for output, fault in (({"reply": "secret"}, "properties.reply.maxLength"), ({"secret": 1}, "additionalProperties")):
        [reason] = ruled(1.0, output, policy=policy).reasons
        assert reason.value == fault


def test_a_sample_of_what_would_be_approved_goes_to_people() -> None:
    policy = Policy(defaults=asking(sample=0.25))
    fine = staged(SuccessOutcome(output="fine", confidence=0.9))
    assert rules(gate(fine, policy, None, 0.2499)) == ["sample"]
    assert gate(fine, policy, None, 0.25).verdict is Verdict.APPROVE
    assert gate(fine, policy, None).verdict is Verdict.APPROVE
    doubtful = staged(SuccessOutcome(output="fine", confidence=0.1))
    assert rules(gate(doubtful, policy, None, 0.0)) == ["confidence.below"]


# How much a ruling lets through: an approval most, a denial for good least.
def leniency(ruling: Ruling) -> int:
    order = [TaskState.DENIED, TaskState.EXHAUSTED, TaskState.QUEUED, TaskState.IN_REVIEW, TaskState.APPROVED]
    return order.index(ruling.next_state)


SHARES = st.floats(0, 1)
ALL_BANDS = st.tuples(SHARES, SHARES, st.none() | SHARES).map(
    lambda shares: Bands(
        **dict(
            zip(("approve", "hitl", "retry"), sorted((s for s in shares if s is not None), reverse=True), strict=False)
        )
    )
)


@given(ALL_BANDS, SHARES, SHARES, SHARES, st.sampled_from(["fine", "my password", ""]), st.none() | SHARES)
def test_under_any_policy_more_confidence_never_lets_less_through(
    bands: Bands, one: float, other: float, draw: float, output: str, sample: float | None
) -> None:
    policy = Policy(defaults=asking(confidence=bands, sample=sample))
    low, high = (
        gate(staged(SuccessOutcome(output=output, confidence=confidence)), policy, None, draw)
        for confidence in sorted((one, other))
    )
    assert leniency(low) <= leniency(high)


@given(ALL_BANDS, SHARES, st.none() | st.sampled_from(list(Verdict)))
def test_a_model_never_raises_a_verdict(bands: Bands, confidence: float, says: Verdict | None) -> None:
    ruling = ruled(confidence, policy=Policy(defaults=asking(confidence=bands)))
    opinion = Opinion(verdict=says, category="c", nonce="", result_sha256="") if says else None
    assert leniency(lowered(ruling, opinion)) <= leniency(ruling)
    if says is not Verdict.APPROVE:
        assert lowered(ruling, opinion).verdict is not Verdict.APPROVE


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
