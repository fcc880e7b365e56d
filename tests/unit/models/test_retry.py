"""Laying out the tasks that are tried again."""

from collections.abc import Callable, Sequence
from itertools import count
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from chimera.models.work.retry import (
    EndedTask,
    RetryDraft,
    RetryKind,
    draft_retry,
    nothing_to_retry,
    plan_states,
    task_states,
)
from chimera.models.work.task import TERMINAL, TaskState

PLAN = UUID(int=999)


def ids() -> Callable[[], UUID]:
    numbers = count(1000)
    return lambda: UUID(int=next(numbers))


def drafted(*unmet: Sequence[int], wave_size: int = 10) -> RetryDraft:
    """A retry of tasks 0, 1, ..., each with the numbers of those it needs."""
    ended = [
        EndedTask(task_id=UUID(int=number), unmet=tuple(UUID(int=other) for other in others))
        for number, others in enumerate(unmet)
    ]
    return draft_retry(ended, PLAN, wave_size, ids())


def places(draft: RetryDraft) -> list[tuple[int, int]]:
    """Each task's old number and new wave."""
    return [(copy.parent_task_id.int, wave_no) for wave_no, copy in draft.placed]


def test_independent_tasks_share_waves_in_the_plan_s_order() -> None:
    draft = drafted((), (), (), wave_size=2)
    assert draft.plan_id == PLAN
    assert places(draft) == [(0, 0), (1, 0), (2, 1)]
    assert [(wave.task_count, wave.has_dependencies) for wave in draft.waves] == [(2, False), (1, False)]
    assert [copy.ordinal for _, copy in draft.placed] == [0, 1, 2]


def test_dependencies_among_the_retried_become_those_of_the_copies() -> None:
    draft = drafted((), (0,), (0, 1))
    assert places(draft) == [(0, 0), (1, 1), (2, 2)]
    first, second, third = (copy for _, copy in draft.placed)
    assert (first.depends_on, second.depends_on) == ((), (first.task_id,))
    assert third.depends_on == (first.task_id, second.task_id)
    assert [wave.has_dependencies for wave in draft.waves] == [False, True, True]


def test_what_needs_a_task_that_is_not_there_is_left_out_with_what_needs_it() -> None:
    draft = drafted((77,), (0,), (), (2, 1), (2,))
    assert places(draft) == [(2, 0), (4, 1)]
    assert [copy.ordinal for _, copy in draft.placed] == [0, 1]


def test_nothing_makes_no_wave() -> None:
    draft = drafted()
    assert (draft.waves, draft.placed) == ((), ())


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=12), st.integers(1, 5))
def test_every_copy_comes_after_what_it_needs(unmet: list[list[int]], wave_size: int) -> None:
    draft = drafted(
        *([other for other in others if other != number] for number, others in enumerate(unmet)), wave_size=wave_size
    )
    wave_of = {copy.task_id: wave_no for wave_no, copy in draft.placed}
    for wave_no, copy in draft.placed:
        assert all(wave_of[other] < wave_no for other in copy.depends_on)
    assert sum(wave.task_count for wave in draft.waves) == len(draft.placed)
    assert all(wave.task_count <= wave_size for wave in draft.waves)


def test_all_ends_but_approval_can_be_tried_again() -> None:
    assert task_states(RetryKind) == TERMINAL - {TaskState.APPROVED}
    assert not task_states([])
    assert not plan_states([])


def test_why_there_is_nothing_names_the_plan() -> None:
    assert nothing_to_retry(PLAN, [RetryKind.FAILED, RetryKind.DENIED], 0).startswith(
        f"nothing of plan pl_{PLAN.hex} is denied or failed"
    )
    assert "(tasks: 3)" in nothing_to_retry(PLAN, [RetryKind.FAILED], 3)
