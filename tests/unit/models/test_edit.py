"""What a person makes of a result: gated like an agent's, without a confidence."""

import json
import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.gate.edit import edited, gate_edit, news, outcome_text
from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import Bands, Policy, SkillPolicy
from chimera.models.record import sha256
from chimera.models.work.decision import Reason, Span, Verdict
from chimera.models.work.result import FailureOutcome, SuccessOutcome

STAGED = Staged(
    task_id=UUID(int=1),
    skill="reply",
    input={"text": "hello"},
    attempt=1,
    max_attempts=3,
    outcome=SuccessOutcome(output="hi", confidence=0.2, reasoning="because", evidence=("so",), tools=("web",)),
    sha256=bytes(32),
)
STRICT = Policy(defaults=SkillPolicy(confidence=Bands(approve=1.0, hitl=0.9), sample=1.0, tools=("web",)))
OUTPUTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


def found(rule: str, *paths: str, value: float | str | None = None) -> Reason:
    return Reason(rule=rule, value=value, spans=tuple(Span(path=path, start=0, end=1) for path in paths))


@given(OUTPUTS)
def test_an_edit_changes_the_output_and_leaves_the_rest(output: Any) -> None:
    new = edited(STAGED, output)
    text = outcome_text(new.outcome)
    assert new.sha256 == sha256(text)
    assert new.size == len(text)
    outcome = json.loads(text)
    assert (outcome["output"], outcome["confidence"]) == (output, None)
    assert (outcome["reasoning"], outcome["evidence"], outcome["tools"]) == ("because", ["so"], ["web"])


@pytest.mark.parametrize("output", [math.nan, [math.inf], {1, 2}])
def test_what_is_no_json_is_no_output(output: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        edited(STAGED, output)


def test_a_failure_has_no_output_to_edit() -> None:
    failed = STAGED.model_copy(update={"outcome": FailureOutcome(code="a", message="b", retryable=False)})
    with pytest.raises(TypeError):
        edited(failed, "hi")


def test_no_confidence_is_asked_of_a_person_and_no_sample_drawn() -> None:
    assert gate(STAGED, STRICT, None, 0.0).verdict is Verdict.DENY
    assert gate_edit(edited(STAGED, "hi there"), STRICT, None).verdict is Verdict.APPROVE


def test_everything_else_is_asked() -> None:
    new = edited(STAGED, "my password")
    assert [reason.rule for reason in gate_edit(new, STRICT, None).reasons] == ["keyword.password"]
    assert gate_edit(new, STRICT, "value: wrong").verdict is Verdict.DENY
    no_tools = Policy(defaults=SkillPolicy(tools=()))
    assert gate_edit(edited(STAGED, "fine"), no_tools, None).verdict is Verdict.DENY


@given(st.text(max_size=40))
def test_an_edit_is_gated_as_the_same_output_of_a_sure_agent_is(text: str) -> None:
    sure = STAGED.model_copy(update={"outcome": SuccessOutcome(output=text, confidence=1.0)})
    person = STAGED.model_copy(update={"outcome": SuccessOutcome(output=text)})
    assert gate_edit(person, Policy(), None) == gate(sure, Policy(), None)


@pytest.mark.parametrize(
    ("shown", "after", "new"),
    [
        ([], [], []),
        ([found("a", "output.x")], [], []),
        ([found("a", "output.x")], [found("a", "output.x")], []),
        ([found("a", "output.x")], [found("a", "output.y")], ["a"]),
        ([found("a", "output.x")], [found("a", "output.x", "output.x")], ["a"]),
        ([found("a", "output.x", "output.x")], [found("a", "output.x")], []),
        ([found("a", "input.x", "output.x")], [found("a", "input.x")], []),
        ([found("a", "output.x")], [found("b", "output.x")], ["b"]),
        ([found("confidence.below", value=0.2)], [found("a", "output.x")], ["a"]),
        ([found("size", value="3 > 2")], [found("size", value="3 > 2")], []),
        ([found("size", value="3 > 2")], [found("size", value="4 > 2")], ["size"]),
    ],
)
def test_news_is_what_was_not_found_there_before(shown: list[Reason], after: list[Reason], new: list[str]) -> None:
    assert [reason.rule for reason in news(after, shown)] == new
