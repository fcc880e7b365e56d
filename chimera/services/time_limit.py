"""Ending a call in the main thread, as prefork children run theirs: after a time, or when its lease is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class TimeIsUp(BaseException):
    """The call took too long, or is not wanted any more. Not an Exception: `except Exception` does not catch it."""


@contextmanager
def alarm(seconds: float) -> Iterator[Callable[[], None]]:
    """Raises TimeIsUp in what runs inside it when these seconds have passed. For the main thread only.

    Yields what another thread may call to raise it now. What catches even that, or never returns to Python,
    is ended by the hard time limit of its Celery task.
    """

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield _ring_main_thread
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        # A ring that comes late must find a handler: the default one ends the process.
        signal.signal(signal.SIGALRM, _too_late if before is signal.SIG_DFL else before)


def _ring_main_thread() -> None:
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGALRM)


def _too_late(_signal: int, _frame: FrameType | None) -> None:
    pass
