"""Running the tasks of a batch, to results that can be staged."""

from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime
from itertools import groupby, takewhile
from typing import Any, NamedTuple

from chimera.models.record import sha256
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.result import Result
from chimera.models.work.skill import Skill
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.ports.clock import Clock
from chimera.ports.skill_runner import EndingWith, Outcome, SkillRunner


class Ran(NamedTuple):
    """What came of a task."""

    result: Result
    failed: bool


MayStart = Callable[[ClaimedTask], bool]


class TaskRunner:
    """Runs tasks one after the other, and those whose skill is async at the same time."""

    def __init__(self, catalogue: Catalogue, clock: Clock, runner: SkillRunner) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._runner = runner

    def run(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], may_start: MayStart, ending_with: EndingWith
    ) -> Generator[Ran]:
        """Yields results as they come.

        Args:
            wave: the wave that the tasks are of.
            tasks: in the order in which they start.
            may_start: asked of each before it starts; after a no nothing more starts.
            ending_with: see `calls.EndingWith`. What is ended so yields a failure, or nothing.
        """
        for together, some in groupby(tasks, key=self._runs_together):
            some_tasks = list(some)
            startable = takewhile(may_start, some_tasks)
            if together:
                started = list(startable)
                yield from self._run_together(wave, started, ending_with)
            else:
                started = []
                for task in startable:
                    started.append(task)
                    yield self._run(wave, task, ending_with)
            if len(started) < len(some_tasks):
                return

    def _run(self, wave: WaveRef, task: ClaimedTask, ending_with: EndingWith) -> Ran:
        started_at = self._clock.now()
        skill = self._skill(task)
        outcome = self._runner.run(wave, task, ending_with) if isinstance(skill, Skill) else skill
        return self._result(task, outcome, started_at)

    def _run_together(self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith) -> Iterator[Ran]:
        started_at = self._clock.now()
        for place, outcome in self._runner.run_together(wave, tasks, ending_with):
            yield self._result(tasks[place], outcome, started_at)

    def _result(self, task: ClaimedTask, outcome: Outcome, started_at: datetime) -> Ran:
        result = Result(
            task_id=task.task_id,
            attempt=task.attempt,
            outcome=outcome.text,
            sha256=sha256(outcome.text),
            fingerprint=self._catalogue.skill(task.skill).fingerprint,
            usage=outcome.usage,
            started_at=started_at,
            finished_at=max(started_at, self._clock.now()),
        )
        return Ran(result, outcome.failed)

    def _runs_together(self, task: ClaimedTask) -> bool:
        skill = self._skill(task)
        return isinstance(skill, Skill) and skill.is_async

    def _skill(self, task: ClaimedTask) -> Skill[..., Any] | Outcome:
        """The task's skill, or why it is not to run."""
        if task.unmet_dependencies:
            count = len(task.unmet_dependencies)
            message = f"{count} of the tasks it depends on were not approved"
            return Outcome.of_failure("dependency_not_approved", message, retryable=False)
        return self._catalogue.skill(task.skill)
