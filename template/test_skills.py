"""Skills and planners are plain callables, and are tested as such: without servers."""

import pytest
from skills import greet, greetings


@pytest.mark.parametrize(("name", "confidence"), [("Ada", 0.95), ("R2-D2", 0.4)])
def test_a_greeting_is_as_sure_as_the_name_is_one(name: str, confidence: float) -> None:
    greeting = greet(name)
    assert greeting.output == f"Hello {name}!"
    # Below 0.7 the gate asks a person.
    assert greeting.confidence == confidence


def test_each_name_becomes_a_task() -> None:
    assert [task.input for task in greetings(["Ada", "Grace"])] == [{"name": "Ada"}, {"name": "Grace"}]
