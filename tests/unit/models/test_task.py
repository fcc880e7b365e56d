"""Tasks: their states, and what a planner may say of one."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chimera.adapters.postgres import migrations
from chimera.models.work.task import TERMINAL, TRANSITIONS, TaskSpec, TaskState

SPEC = TaskSpec(skill="echo", input={"text": "hello"})


def transitions_of_the_schema() -> set[tuple[str, str]]:
    """The pairs that the latest definition of the trigger task_transition lets pass."""
    folder = Path(migrations.__file__).parent / "versions"
    found = [
        match[1]
        for file in sorted(folder.glob("*.sql"))
        for match in re.finditer(r"create trigger task_transition .*?not in \((.*?)\)\)\)", file.read_text(), re.DOTALL)
    ]
    return set(re.findall(r"\('(\w+)', '(\w+)'", found[-1]))


def test_the_schema_allows_the_same_transitions() -> None:
    here = {(before.value, after.value) for before, states in TRANSITIONS.items() for after in states}
    assert transitions_of_the_schema() == here


def test_every_state_has_its_transitions_and_an_ended_task_has_none() -> None:
    assert set(TRANSITIONS) == set(TaskState)
    assert {state for state, after in TRANSITIONS.items() if not after} == TERMINAL


def test_every_state_is_reached_from_the_first() -> None:
    reached, look_at = {TaskState.QUEUED}, [TaskState.QUEUED]
    while look_at:
        new = TRANSITIONS[look_at.pop()] - reached
        reached |= new
        look_at += new
    assert reached == set(TaskState)


def test_nothing_but_the_judge_s_desk_leads_to_a_commit() -> None:
    assert {state for state, after in TRANSITIONS.items() if TaskState.APPROVED in after} == {
        TaskState.STAGED,
        TaskState.IN_REVIEW,
    }


def test_options_are_those_of_the_same_task() -> None:
    other = TaskSpec(skill="echo", input={})
    spec = SPEC.options(
        label={"category": "bill"},
        depends_on=(other,),
        state_key="k",
        timeout_seconds=1.5,
        max_attempts=1,
    )
    assert (spec.skill, spec.input, spec.label) == ("echo", {"text": "hello"}, {"category": "bill"})
    assert (spec.state_key, spec.timeout_seconds, spec.max_attempts) == ("k", 1.5, 1)
    # A planner's dependencies are known by identity: equal tasks are different tasks.
    assert spec.depends_on[0] is other
    assert SPEC.state_key is None


@pytest.mark.parametrize(
    "option",
    [
        {"timeout_seconds": 0},
        {"timeout_seconds": -1.0},
        {"timeout_seconds": float("inf")},
        {"timeout_seconds": float("nan")},
        {"timeout_seconds": 3541.0},
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"max_attempts": True},
        {"state_key": ""},
        {"state_key": "k" * 513},
        {"state_key": "a\x00b"},
        {"depends_on": ("echo",)},
        {"label": "bill"},
    ],
    ids=repr,
)
def test_an_option_that_no_task_can_have_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SPEC.options(**option)
