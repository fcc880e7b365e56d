"""A wave: the unit of fan-out, one chord of batches whose body is the Judge."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Protocol, TypeVar
from uuid import UUID

from pydantic import Field

from chimera.models.record import Record, TenantId


class WaveState(StrEnum):
    """Where a wave is on its way."""

    WAITING = "waiting"  # for its place in the tenant's window, or for tasks that it depends on
    IN_FLIGHT = "in_flight"  # it is sent, or to be sent now
    CLOSED = "closed"  # the Judge has seen all of its tasks; people's decisions may be missing


class Wave(Record):
    """A wave as the planner lays it out."""

    wave_no: int = Field(ge=0)
    task_count: int = Field(ge=1)
    has_dependencies: bool = False


class WaveRef(Record):
    """Which wave, and nothing else: what travels through the broker."""

    tenant_id: TenantId
    plan_id: UUID
    wave_no: int = Field(ge=0)


class Batch(Record):
    """Tasks of one skill that go to an agent in one message."""

    task_ids: tuple[UUID, ...] = Field(min_length=1)
    # Sum of the tasks' timeouts.
    timeout_seconds: float = Field(gt=0)


class QueuedTask(Record):
    """What laying out batches needs of a task."""

    task_id: UUID
    skill: str
    timeout_seconds: float
    # It was lost with its agent before, or is at its last attempt after others: it goes out in a batch of its own.
    alone: bool = False


class Dispatch(Record):
    """A wave that is to be published, with its batches."""

    wave: WaveRef
    batches: tuple[Batch, ...]


def batches(tasks: Iterable[QueuedTask], slots: int, max_batch: Callable[[str], int]) -> Iterator[Batch]:
    """Cuts tasks into batches of one skill.

    A batch has n tasks, so that each of the `slots` agents gets two batches of the skill (one slow batch
    can then be made up for), and never more than the skill's `max_batch`.
    """
    for (skill, alone), run in groupby(sorted(tasks, key=_kind), key=_kind):
        same = list(run)
        size = 1 if alone else max(1, min(max_batch(skill), -(-len(same) // (2 * max(1, slots)))))
        for start in range(0, len(same), size):
            part = same[start : start + size]
            yield Batch(
                task_ids=tuple(task.task_id for task in part),
                timeout_seconds=sum(task.timeout_seconds for task in part),
            )


def _kind(task: QueuedTask) -> tuple[str, bool]:
    return task.skill, task.alone


class Placeable(Protocol):
    """A task that is to get its place in a wave."""

    @property
    def depth(self) -> int:
        """How many waves must come before its own, for the tasks that it depends on."""
        ...


P = TypeVar("P", bound=Placeable)


def lay_out(tasks: Sequence[P], wave_size: int) -> tuple[list[Wave], list[tuple[int, P]]]:
    """Cuts tasks into waves of at most `wave_size`, so that no task shares a wave with one it depends on.

    Returns the waves, and each task with its wave's number, in the order of the waves; within a wave the
    planner's order stays.
    """
    waves: list[Wave] = []
    placed: list[tuple[int, P]] = []
    by_depth: dict[int, list[P]] = {}
    for task in tasks:
        by_depth.setdefault(task.depth, []).append(task)
    for depth, same in sorted(by_depth.items()):
        for start in range(0, len(same), wave_size):
            chunk = same[start : start + wave_size]
            placed += [(len(waves), task) for task in chunk]
            waves.append(Wave(wave_no=len(waves), task_count=len(chunk), has_dependencies=depth > 0))
    return waves, placed
