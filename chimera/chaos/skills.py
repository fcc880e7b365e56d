"""What the plans of a run do. Every call appends a line to the run's journal before it answers."""

import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from chimera import Skill, SkillFailed, Success, TaskSpec, planner, skill
from chimera.chaos.journal import Journal

RUNS = "CHIMERA_CHAOS_RUNS"
# Of 256: how often a flaky call fails.
_FAILS = 64


class Step(BaseModel):
    """One task of a plan."""

    do: str
    seconds: float = 0.0
    # The step, by its place, that must be approved before.
    after: int | None = None
    key: str | None = None


@cache
def _journal() -> Journal:
    # Not forced to the disk: the faults kill processes, not this machine.
    return Journal(Path(os.environ[RUNS]), durable=False)


def note_run(nonce: str, seconds: float = 0.0) -> None:
    """Notes that a call has begun, and how many seconds it will take if nothing ends it."""
    note("run", nonce=nonce, seconds=seconds)


def note(what: str, **facts: object) -> None:
    """A line in the run's journal."""
    _journal().note(what, pid=os.getpid(), at=time.time(), **facts)


@skill(name="chaos.quick", max_batch=25, timeout_seconds=5)
def quick(nonce: str) -> Success[str]:
    """Answers at once."""
    note_run(nonce)
    return Success(nonce, confidence=0.95)


@skill(name="chaos.slow", max_batch=1, timeout_seconds=5)
def slow(nonce: str, seconds: float) -> Success[str]:
    """Takes its time."""
    note_run(nonce, seconds)
    time.sleep(seconds)
    return Success(nonce, confidence=0.95)


@skill(name="chaos.flaky", max_batch=5, timeout_seconds=5, max_attempts=6)
def flaky(nonce: str) -> Success[str]:
    """Fails now and then."""
    note_run(nonce)
    if os.urandom(1)[0] < _FAILS:
        raise SkillFailed("not this time", code="flaky", retryable=True)
    return Success(nonce, confidence=0.95)


@skill(name="chaos.unsure", max_batch=10, timeout_seconds=5)
def unsure(nonce: str) -> Success[str]:
    """Needs a person."""
    note_run(nonce)
    return Success(nonce, confidence=0.4)


@skill(name="chaos.keyed", max_batch=5, timeout_seconds=5, max_attempts=6)
def keyed(nonce: str) -> Success[str]:
    """Becomes an entry of shared state."""
    note_run(nonce)
    return Success(nonce, confidence=0.95)


_PLAIN: dict[str, Skill[[str], Success[str]]] = {"quick": quick, "flaky": flaky, "unsure": unsure, "keyed": keyed}


@planner(name="chaos.steps")
def steps(plan: str, steps: list[Step]) -> Iterator[TaskSpec]:
    """The tasks of a plan, each with a nonce of its own: `<plan>/<place>`."""
    yielded: list[TaskSpec] = []
    for place, step in enumerate(steps):
        nonce = f"{plan}/{place}"
        spec = slow.task(nonce, step.seconds) if step.do == "slow" else _PLAIN[step.do].task(nonce)
        before = () if step.after is None else (yielded[step.after],)
        yielded.append(spec.options(depends_on=before, state_key=step.key))
        yield yielded[-1]
