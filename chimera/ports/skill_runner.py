"""Where users' functions run: in the worker's own process, or in one that has nothing of the worker's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, Self

from chimera.models.record import canonical_json
from chimera.models.work.result import NO_USAGE, FailureOutcome, Usage
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef

# What `Lease.ending_with` is: while inside, the callable given to it ends the call from another thread.
EndingWith = Callable[[Callable[[], None]], AbstractContextManager[None]]


class Outcome(NamedTuple):
    """What came of a call."""

    # Canonical JSON.
    text: str
    usage: Usage
    failed: bool

    @classmethod
    def of_failure(cls, code: str, message: str, *, retryable: bool, usage: Usage = NO_USAGE) -> Self:
        """What came of a call that has no output, and why."""
        outcome = FailureOutcome(code=code, message=message, retryable=retryable)
        return cls(canonical_json(outcome.model_dump(mode="json")), usage, failed=True)


class SkillRunner(Protocol):
    """Runs the skills of claimed tasks, each with its own context. Never raises for what a skill does."""

    def run(self, wave: WaveRef, task: ClaimedTask, ending_with: EndingWith) -> Outcome:
        """Runs a task whose skill is no async function."""
        ...

    def run_together(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith
    ) -> Iterator[tuple[int, Outcome]]:
        """Runs tasks of async skills at the same time; yields place and outcome of each as they come.

        Where all are ended from outside, those that are not over yet yield nothing.
        """
        ...
