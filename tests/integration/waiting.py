"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def eventually(happened: Callable[[], object], seconds: float = 30.0) -> float:
    """Waits until something is so; returns the seconds that took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() < began + seconds, f"did not happen within {seconds:g} s"
        time.sleep(0.02)
    return time.monotonic() - began
