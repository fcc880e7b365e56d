"""A label: what a right output holds, where the submitter of a task knows it."""

from collections.abc import Mapping
from typing import Any


def is_right(label: Mapping[str, Any], output: Any) -> bool:
    """Whether the output is an object that has all of the label's keys with the same values."""
    return isinstance(output, dict) and all(key in output and _same(value, output[key]) for key, value in label.items())


def _same(one: Any, other: Any) -> bool:
    # To Python True is 1; to JSON it is not.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
