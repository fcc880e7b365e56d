"""Ending a call in the main thread, as prefork children run theirs: after a time, or when its lease is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class TimeIsUp(BaseException):
    """The call took too long, or is not wanted any more. Not an Exception: `except Exception` does not catch it."""


# Whether a call is under way that is to be ended.
_is_set = False


@contextmanager
def alarm(seconds: float) -> Iterator[Callable[[], None]]:
    """Raises TimeIsUp in what runs inside it when these seconds have passed. For the main thread only.

    Yields what another thread may call to raise it now. What catches even that, or never returns to Python,
    is ended by the hard time limit of its Celery task.
    """
    global _is_set  # noqa: PLW0603  as the handler and the timer, there is one in a process
    # To set a handler takes three times as long as the rest: it stays, unless another was there.
    before = signal.getsignal(signal.SIGALRM)
    if before is not _ring:
        signal.signal(signal.SIGALRM, _ring)
    _is_set = True
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield _ring_main_thread
    finally:
        _is_set = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if before is not _ring and before is not signal.SIG_DFL:
            signal.signal(signal.SIGALRM, before)


def _ring(_signal: int, _frame: FrameType | None) -> None:
    # One that comes late finds a handler, since the default one ends the process, and nothing to end.
    if _is_set:
        raise TimeIsUp


def _ring_main_thread() -> None:
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGALRM)
