"""Running skills in this very process, each task in a context of its own."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context

from structlog.contextvars import bind_contextvars

from chimera.models.ids import IdKind, format_id
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.context import REASONS, TaskContext
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.ports import skill_runner
from chimera.ports.skill_runner import EndingWith, Outcome
from chimera.services.calls import Calls
from chimera.services.execution import Call, Execution
from chimera.services.printed import Printed, begin_printing
from chimera.services.task_context import enter


class SkillRunner(skill_runner.SkillRunner):
    """Runs the skills of this process's catalogue."""

    def __init__(self, catalogue: Catalogue, calls: Calls, max_output_bytes: int) -> None:
        self._catalogue = catalogue
        self._execution = Execution(calls, max_output_bytes)

    def run(self, wave: WaveRef, task: ClaimedTask, ending_with: EndingWith) -> Outcome:
        """Runs it in this thread, or in one of its own."""
        with _context_of(wave, task) as context:
            return self._execution.run(self._call(task, context), ending_with)

    def run_together(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith
    ) -> Iterator[tuple[int, Outcome]]:
        """Runs them on the event loop of this process."""
        with ExitStack() as stack:
            calls = [self._call(task, stack.enter_context(_context_of(wave, task))) for task in tasks]
            yield from self._execution.run_together(calls, ending_with)

    def _call(self, task: ClaimedTask, context: Context) -> Call:
        return Call(self._catalogue.skill(task.skill), task.input, task.timeout_seconds, context)


@contextmanager
def _context_of(wave: WaveRef, task: ClaimedTask) -> Iterator[Context]:
    """A context in which this task runs: for `current_task`, for the log, and for what the skill prints."""
    context = copy_context()
    printed = context.run(_enter, wave, task)
    try:
        yield context
    finally:
        context.run(printed.close)


def _enter(wave: WaveRef, task: ClaimedTask) -> Printed:
    # Nothing of it has to be taken back: the context ends with the task.
    bind_contextvars(task_id=format_id(IdKind.TASK, task.task_id), attempt=task.attempt, skill=task.skill)
    enter(_task_context(wave, task))
    return begin_printing()


def _task_context(wave: WaveRef, task: ClaimedTask) -> TaskContext:
    return TaskContext(
        tenant_id=wave.tenant_id,
        plan_id=wave.plan_id,
        task_id=task.task_id,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        feedback=() if task.feedback is None else REASONS.validate_json(task.feedback, strict=False),
        state_key=task.state_key,
        state_value=None if task.state_value is None else json.loads(task.state_value),
        state_version=task.state_version,
    )
