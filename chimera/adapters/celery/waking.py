"""Has a worker hear at once that it is told to end: its event loop sleeps on through a signal, for up to a second."""

import contextlib
import os
import signal
import threading
from functools import cache
from typing import Any

from celery.signals import worker_ready


def connect() -> None:
    """Has signals wake the event loop of the worker that this process is."""
    worker_ready.connect(_listen)


def _listen(sender: Any, **_: object) -> None:
    # Pools of threads have no event loop; and whoever runs a worker in a thread gets the signals for itself.
    if sender.hub is not None and threading.current_thread() is threading.main_thread():
        # Again after each reconnection, when the loop has forgotten all.
        sender.hub.add_reader(_woken(), _empty, _woken())


@cache
def _woken() -> int:
    """A descriptor that can be read when a signal came."""
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    return woken


def _empty(woken: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(woken, 4096)
