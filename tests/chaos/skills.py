"""Skills that write down, outside of everything that is under test, each time that they run."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from chimera import DeniedTask, SkillFailed, Success, TaskSpec, planner, skill

LONGEST_WAIT_SECONDS = 90.0


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


@skill(name="chaos.wait", max_batch=1, timeout_seconds=LONGEST_WAIT_SECONDS + 30)
def wait(tenant: str, name: str, file: str) -> Success[str]:
    """Keeps its wave open until a file is there: something happened, of which the plan knows nothing."""
    _note(tenant, name)
    path = Path(os.environ["CHIMERA_FAILPOINTS"]) / file
    end = time.monotonic() + LONGEST_WAIT_SECONDS
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return Success(name, confidence=1.0)


@skill(name="chaos.second_time", max_batch=3)
def second_time(tenant: str, name: str) -> Success[str]:
    if _note(tenant, name) == 1:
        raise SkillFailed("not yet", code="busy")
    return Success(name, confidence=1.0)


@planner(name="chaos.everything")
def everything(tenant: str, wait_for: str | None, doubtful: bool, guessed: bool) -> Iterator[TaskSpec]:
    """One task of each kind that takes a way of its own."""
    first = [count.task(tenant, f"quick{number}", 1.0) for number in range(4)]
    yield from first
    yield count.task(tenant, "keyed", 1.0).options(state_key="k")
    yield second_time.task(tenant, "again")
    if wait_for:
        yield wait.task(tenant, "waiting", wait_for)
    if doubtful:
        yield count.task(tenant, "doubtful", 0.1)
    if guessed:
        yield count.task(tenant, "guessed", 0.1)
    yield count.task(tenant, "after", 1.0).options(depends_on=(first[0],))


@everything.replan
def surely(denied: DeniedTask) -> TaskSpec:
    return denied.task(confidence=1.0)
