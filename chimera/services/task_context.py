"""The task that a skill runs as, for the skill to ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from chimera.errors import NoCurrentTask
from chimera.models.work.context import TaskContext

_current: ContextVar[TaskContext] = ContextVar("chimera_task")


def current_task() -> TaskContext:
    """The task that this call of a skill is: its attempt, why it was sent back, and the shared state it is to change.

    Works in the skill's own thread and in what it awaits; a thread that the skill starts has to be given it.

    Raises:
        NoCurrentTask: no task runs here.
    """
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentTask(
            "no task runs here: current_task() is for skills, while a worker calls them. "
            "In a test, call the skill inside of `with chimera.testing.running_task():`; "
            "in a thread of the skill's own, pass it what current_task() returned before"
        ) from None


def enter(context: TaskContext) -> None:
    """From now on, in this context and in what inherits it, this is the task that runs."""
    _current.set(context)


@contextmanager
def running(context: TaskContext) -> Iterator[TaskContext]:
    """While inside, and in whatever inherits the context of this thread, this is the task that runs."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
