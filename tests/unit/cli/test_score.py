from typing import Any
from uuid import UUID

import pytest

from chimera.cli.plan.score import Tally, score
from chimera.models.gate.label import is_right
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from chimera.models.work.task import TaskState
from chimera.ports.plan_store import TaskResult


def result(state: TaskState, output: Any = None, label: dict[str, object] | None = None) -> TaskResult:
    failed = FailureOutcome(code="c", message="m", retryable=False)
    return TaskResult(
        task_id=UUID(int=1),
        wave_no=0,
        ordinal=0,
        skill="s",
        state=state,
        attempt=1,
        outcome=failed if state is TaskState.EXHAUSTED else SuccessOutcome(output=output),
        label=label,
    )


@pytest.mark.parametrize(
    ("label", "output", "right"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": True}, {"a": True}, True),
        ({"a": None}, {}, False),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, True),
        ({}, {}, True),
        ({"a": 1}, "a", False),
        ({"a": 1}, None, False),
    ],
)
def test_right_is_all_of_the_labels_keys(label: dict[str, Any], output: Any, *, right: bool) -> None:
    assert is_right(label, output) is right


def test_results_are_tallied_by_what_became_of_them() -> None:
    tallies = score(
        [
            result(TaskState.APPROVED, {"a": 1}, {"a": 1}),
            result(TaskState.APPROVED, {"a": 2}, {"a": 1}),
            result(TaskState.APPROVED, {"a": 2}),
            result(TaskState.IN_REVIEW, {"a": 1}, {"a": 1}),
            result(TaskState.DENIED, {"a": 2}, {"a": 1}),
            result(TaskState.EXHAUSTED, None, {"a": 1}),
            result(TaskState.QUEUED, None, {"a": 1}),
            result(TaskState.CANCELLED, None, {"a": 1}),
        ]
    )
    assert tallies == {
        "committed": Tally(tasks=3, labelled=2, right=1),
        "in_review": Tally(tasks=1, labelled=1, right=1),
        "denied": Tally(tasks=1, labelled=1, right=0),
        "failed": Tally(tasks=1, labelled=1, right=0),
        "all": Tally(tasks=6, labelled=5, right=2),
    }
    assert tallies["all"].as_json() == {"tasks": 6, "labelled": 5, "right": 2, "accuracy": 0.4}


def test_without_labels_there_is_no_accuracy() -> None:
    assert score([result(TaskState.APPROVED, {"a": 1})])["all"].accuracy is None
