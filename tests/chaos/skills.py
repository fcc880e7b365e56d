"""Skills that write down, outside of everything that is under test, each time that they run."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from chimera import SkillFailed, Success, TaskSpec, planner, skill


def journal_of(folder: Path, tenant: str) -> Path:
    return folder / f"{tenant}.ran"


def _note(tenant: str, name: str) -> int:
    """Adds a line; returns how many there are for this task."""
    path = journal_of(Path(os.environ["CHIMERA_FAILPOINTS"]), tenant)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    return path.read_text(encoding="utf-8").split().count(name)


@skill(name="chaos.count", max_batch=3)
def count(tenant: str, name: str, confidence: float) -> Success[str]:
    _note(tenant, name)
    return Success(name, confidence=confidence)


@skill(name="chaos.slow", max_batch=1)
def slow(tenant: str, name: str, seconds: float) -> Success[str]:
    _note(tenant, name)
    time.sleep(seconds)
    return Success(name, confidence=1.0)


@skill(name="chaos.second_time", max_batch=3)
def second_time(tenant: str, name: str) -> Success[str]:
    if _note(tenant, name) == 1:
        raise SkillFailed("not yet", code="busy")
    return Success(name, confidence=1.0)


@planner(name="chaos.everything")
def everything(tenant: str, slow_seconds: float, doubtful: bool) -> Iterator[TaskSpec]:
    """One task of each kind that takes a way of its own."""
    first = [count.task(tenant, f"quick{number}", 1.0) for number in range(4)]
    yield from first
    yield count.task(tenant, "keyed", 1.0).options(state_key="k")
    yield second_time.task(tenant, "again")
    if slow_seconds:
        yield slow.task(tenant, "slow", slow_seconds)
    if doubtful:
        yield count.task(tenant, "doubtful", 0.1)
    yield count.task(tenant, "after", 1.0).options(depends_on=(first[0],))
