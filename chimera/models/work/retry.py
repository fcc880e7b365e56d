"""Trying again: which ended tasks of a plan, and as what tasks of a new one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from chimera.errors import Conflict, InvalidInput, NothingToRetry
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Record
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import Wave, lay_out


class RetryKind(StrEnum):
    """What is to be tried again, by how it ended."""

    FAILED = "failed"  # attempts brought no usable result, or the planner failed
    DENIED = "denied"  # the Judge or a person refused the result
    STOPPED = "stopped"  # the plan was cancelled, or its deadline came


TASK_STATES: Mapping[RetryKind, frozenset[TaskState]] = {
    RetryKind.FAILED: frozenset({TaskState.EXHAUSTED}),
    RetryKind.DENIED: frozenset({TaskState.DENIED}),
    RetryKind.STOPPED: frozenset({TaskState.CANCELLED, TaskState.EXPIRED}),
}

# Plans that ended so before they had tasks: their request is submitted again.
PLAN_STATES: Mapping[RetryKind, frozenset[PlanState]] = {
    RetryKind.FAILED: frozenset({PlanState.FAILED}),
    RetryKind.DENIED: frozenset(),
    RetryKind.STOPPED: frozenset({PlanState.CANCELLED, PlanState.EXPIRED}),
}


def kinds_of(*, failed: bool, denied: bool, stopped: bool) -> frozenset[RetryKind]:
    """What is asked for.

    Raises:
        InvalidInput: nothing is.
    """
    asked = {RetryKind.FAILED: failed, RetryKind.DENIED: denied, RetryKind.STOPPED: stopped}
    if not any(asked.values()):
        raise InvalidInput("say what is to be tried again: failed, denied, stopped, or several of them")
    return frozenset(kind for kind, wanted in asked.items() if wanted)


def task_states(kinds: Iterable[RetryKind]) -> frozenset[TaskState]:
    """The end states of the tasks that are meant."""
    return frozenset[TaskState]().union(*(TASK_STATES[kind] for kind in kinds))


def plan_states(kinds: Iterable[RetryKind]) -> frozenset[PlanState]:
    """The end states of the plans without tasks that are meant."""
    return frozenset[PlanState]().union(*(PLAN_STATES[kind] for kind in kinds))


def kind_of(task_id: UUID, state: TaskState) -> RetryKind:
    """What a task that ended so is tried again as.

    Raises:
        NothingToRetry: its result is committed.
        Conflict: it has not ended.
    """
    found = next((kind for kind, states in TASK_STATES.items() if state in states), None)
    if found is not None:
        return found
    shown = format_id(IdKind.TASK, task_id)
    if state is TaskState.APPROVED:
        raise NothingToRetry(f"task {shown} is approved, its result is committed: there is nothing to try again")
    raise Conflict(f"task {shown} is {state}: it can be tried again when it has ended")


class EndedTask(Record):
    """A task that may be tried again."""

    task_id: UUID
    # Tasks it depends on that were not approved, nor when they were tried again.
    unmet: tuple[UUID, ...] = ()


class TaskCopy(Record):
    """A task of the new plan: all else is as in the task that it tries again."""

    task_id: UUID
    parent_task_id: UUID
    ordinal: int = Field(ge=0)
    depends_on: tuple[UUID, ...] = ()
    # How many waves must come before its own.
    depth: int = Field(default=0, ge=0)


class RetryDraft(Record):
    """A plan that tries tasks of another again."""

    plan_id: UUID
    waves: tuple[Wave, ...]
    placed: tuple[tuple[int, TaskCopy], ...]  # each with its wave's number


def nothing_to_retry(plan_id: UUID, kinds: Iterable[RetryKind], left_out: int) -> str:
    """Why nothing of a plan is tried again, and what to do."""
    plan, ended = format_id(IdKind.PLAN, plan_id), " or ".join(sorted(kinds))
    if not left_out:
        return f"nothing of plan {plan} is {ended}: there is nothing to try again"
    return (
        f"what of plan {plan} is {ended} (tasks: {left_out}) depends on tasks that were not approved: "
        "try those again with it (--failed --denied --stopped), or submit a new plan"
    )


def draft_retry(ended: Sequence[EndedTask], plan_id: UUID, wave_size: int, new_id: Callable[[], UUID]) -> RetryDraft:
    """Lays out the tasks of a retry.

    A task that needs one that was neither approved nor is tried again with it could only be refused once
    more: it is left out, and so is what needs it.

    Args:
        ended: what may be tried again, in the plan's order: what a task depends on stands before it.
        plan_id: the new plan.
        wave_size: tasks in a wave, at most.
        new_id: makes the ids of the new tasks.
    """
    kept: dict[UUID, TaskCopy] = {}
    for task in ended:
        if not all(other in kept for other in task.unmet):
            continue
        before = [kept[other] for other in task.unmet]
        kept[task.task_id] = TaskCopy(
            task_id=new_id(),
            parent_task_id=task.task_id,
            ordinal=len(kept),
            depends_on=tuple(other.task_id for other in before),
            depth=1 + max(other.depth for other in before) if before else 0,
        )
    waves, placed = lay_out(list(kept.values()), wave_size)
    return RetryDraft(plan_id=plan_id, waves=tuple(waves), placed=tuple(placed))
