"""Results: what a skill may report, and outcomes as they are stored."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from chimera.models.record import canonical_json
from chimera.models.work.result import OUTCOME, FailureOutcome, SuccessOutcome, Usage, reported_confidence
from tests.unit.strategies import JSON


@pytest.mark.parametrize("value", [0, 1, 0.5, -3, 1.01, 90])
def test_a_finite_number_is_kept_as_it_is(value: float) -> None:
    assert reported_confidence(value) == value


@pytest.mark.parametrize(
    "value", [None, True, False, "0.9", math.nan, math.inf, -math.inf, 10**400, Decimal("0.9"), [0.9], 0.9 + 0j]
)
def test_anything_else_is_no_confidence(value: object) -> None:
    assert reported_confidence(value) is None


@given(JSON)
def test_a_success_comes_back_as_it_was_stored(output: Any) -> None:
    outcome = SuccessOutcome(output=output, confidence=0.5, reasoning="so", evidence=("a", "b"))
    stored = canonical_json(outcome.model_dump(mode="json"))
    assert OUTCOME.validate_python(json.loads(stored), strict=False) == outcome


def test_a_failure_comes_back_as_it_was_stored() -> None:
    outcome = FailureOutcome(code="broken", message="it broke", retryable=True, details={"a": [1]})
    stored = canonical_json(outcome.model_dump(mode="json"))
    assert OUTCOME.validate_python(json.loads(stored), strict=False) == outcome


@pytest.mark.parametrize(
    "stored",
    [
        {"kind": "success", "output": 1, "code": "broken"},
        {"kind": "failure"},
        {"kind": "failure", "code": "a", "message": "b"},
        {"kind": "maybe"},
        {"output": 1},
    ],
)
def test_a_success_carries_no_error_and_a_failure_must(stored: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OUTCOME.validate_python(stored)


def test_usage_is_not_negative() -> None:
    with pytest.raises(ValidationError):
        Usage(tokens=-1)
    with pytest.raises(ValidationError):
        Usage(cost_usd=Decimal("-0.01"))
