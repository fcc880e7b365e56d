"""What the services' tests share."""

import sys
import threading
from collections.abc import Iterator

import pytest

from tests.unit.services.house import House


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Set at the test's end only, so that what waits for it does not outlive the test.

    Nothing is traced meanwhile, for coverage either: Python 3.11 spins in each function that is traced, for as long as
    an exception waits to be raised in a thread which waits for something itself.
    """
    event = threading.Event()
    traces = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "chimera-skill":
            thread.join(10)
    sys.settrace(traces[0])
    threading.settrace(traces[1])
