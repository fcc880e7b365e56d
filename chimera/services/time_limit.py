"""Ending a call in the main thread after a time, as prefork children run theirs."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeIsUp(BaseException):
    """The call took too long. Not an Exception: the call's own `except Exception` does not catch it."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raises TimeIsUp in what runs inside it after so many seconds. For the main thread only.

    What catches even that, or never returns to Python, is ended by the hard time limit of its Celery task.
    """

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
