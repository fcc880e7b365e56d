"""Ending a call of the main thread by an alarm."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from chimera.services.time_limit import TimeIsUp, alarm


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """What was set before is set afterwards."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.signal(signal.SIGALRM, before)


def test_it_rings_when_its_time_is_over() -> None:
    with pytest.raises(TimeIsUp), alarm(0.001):
        threading.Event().wait(60)


def test_another_thread_may_ring_it_before() -> None:
    # What rings while the main thread has not begun to wait finds it within the alarm all the same.
    with pytest.raises(TimeIsUp), alarm(60) as ring, running(ring):
        threading.Event().wait(60)


@contextmanager
def running(function: Callable[[], None]) -> Iterator[None]:
    threading.Thread(target=function).start()
    yield


def test_one_that_comes_late_ends_neither_the_process_nor_what_runs_by_then() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with alarm(60) as ring:
        pass
    ring()
    with alarm(60):
        pass
    signal.raise_signal(signal.SIGALRM)


def test_a_skill_that_sets_the_handler_keeps_no_later_call_from_its_end() -> None:
    with alarm(60):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    with pytest.raises(TimeIsUp), alarm(0.001):
        threading.Event().wait(60)


def test_somebody_else_s_handler_is_theirs_again() -> None:
    rung: list[int] = []

    def theirs(number: int, _frame: FrameType | None) -> None:
        rung.append(number)

    signal.signal(signal.SIGALRM, theirs)
    with alarm(60):
        pass
    signal.raise_signal(signal.SIGALRM)
    assert rung == [signal.SIGALRM]
