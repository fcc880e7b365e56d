"""Cutting a wave's tasks into batches."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.work.wave import QueuedTask, batches


def tasks(*skills: str) -> list[QueuedTask]:
    return [
        QueuedTask(task_id=UUID(int=number), skill=skill, timeout_seconds=2.0) for number, skill in enumerate(skills)
    ]


def sizes(count: int, slots: int, max_batch: int = 1000) -> list[int]:
    return [len(batch.task_ids) for batch in batches(tasks(*["a"] * count), slots, lambda _: max_batch)]


@pytest.mark.parametrize(
    ("count", "slots", "expected"),
    [
        (0, 4, []),
        (1, 4, [1]),
        (8, 4, [1] * 8),
        (9, 4, [2, 2, 2, 2, 1]),
        (100, 2, [25] * 4),
        (101, 2, [26, 26, 26, 23]),
        (5, 0, [3, 2]),
    ],
)
def test_each_slot_gets_two_batches(count: int, slots: int, expected: list[int]) -> None:
    assert sizes(count, slots) == expected


def test_no_batch_is_larger_than_its_skill_takes() -> None:
    assert sizes(10, 1, max_batch=4) == [4, 4, 2]
    assert sizes(3, 1, max_batch=1) == [1, 1, 1]
    assert sizes(2, 1, max_batch=0) == [1, 1]


def test_a_batch_is_of_one_skill_and_keeps_the_order() -> None:
    cut = list(batches(tasks("b", "a", "b", "a", "a"), 1, {"a": 2, "b": 9}.__getitem__))
    assert [[task_id.int for task_id in batch.task_ids] for batch in cut] == [[1, 3], [4], [0], [2]]


def test_a_batch_s_timeout_is_the_sum_of_its_tasks_s() -> None:
    assert [batch.timeout_seconds for batch in batches(tasks("a", "a", "a"), 1, lambda _: 2)] == [4.0, 2.0]


@given(
    st.lists(st.sampled_from("abc"), max_size=40),
    st.integers(0, 10),
    st.fixed_dictionaries(dict.fromkeys("abc", st.integers(1, 9))),
)
def test_every_task_is_in_exactly_one_batch(skills: list[str], slots: int, most: dict[str, int]) -> None:
    all_tasks = tasks(*skills)
    skill_of = {task.task_id: task.skill for task in all_tasks}
    cut = list(batches(all_tasks, slots, most.__getitem__))
    placed = [task_id for batch in cut for task_id in batch.task_ids]
    assert sorted(placed) == sorted(skill_of)
    for batch in cut:
        [skill] = {skill_of[task_id] for task_id in batch.task_ids}
        assert len(batch.task_ids) <= most[skill]
