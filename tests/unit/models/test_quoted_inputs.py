"""What pydantic quotes is hidden, in time that is linear in the text."""

import time

import pytest
from pydantic import TypeAdapter, ValidationError

from chimera.models.text.quoted_inputs import hide_inputs


@pytest.mark.parametrize(
    "value", ["secret", "secret, input_type=str]", "secret\nsecret", "input_value=secret", "]secret"]
)
def test_a_value_is_hidden_and_the_rest_stays(value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[int]).validate_python([value, 1, value])
    said = hide_inputs(str(caught.value))
    assert "secret" not in said
    assert (
        said.count("unable to parse string as an integer [type=int_parsing, input_value=(hidden), input_type=str]") == 2
    )


def test_other_text_stays() -> None:
    for text in ("", "no value\nat all", "input_type=str"):
        assert hide_inputs(text) == text


def test_what_is_cut_off_is_hidden_whole() -> None:
    assert hide_inputs("x [type=t, input_value='secr") == "x [type=t, input_value=(hidden)"


@pytest.mark.parametrize("text", ["input_value=" * 100_000, "input_value=\n" * 100_000, ", input_type=" * 100_000])
def test_the_time_is_linear(text: str) -> None:
    began = time.perf_counter()
    hide_inputs(text)
    assert time.perf_counter() - began < 1.0
