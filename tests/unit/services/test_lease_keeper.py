"""Keeping leases: renewed while what they are for goes on, and their loss told to who works under them."""

import threading
import time
from collections.abc import Callable

import pytest
import structlog

from chimera.errors import StoreUnavailable
from chimera.models.work.lease import Renewal
from chimera.services import lease_keeper
from chimera.services.lease_keeper import LeaseKeeper

HELD = Renewal(held=True, may_start=True)
LOST = Renewal(held=False, may_start=False)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_keeper, "RENEW_SECONDS", 0.02)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_lease_is_renewed_again_and_again_while_it_is_kept() -> None:
    asked: list[int] = []

    def renew() -> Renewal:
        asked.append(1)
        return HELD

    with LeaseKeeper().keeping(renew, 60) as lease:
        until(lambda: len(asked) >= 3)
        assert (lease.held, lease.may_start) == (True, True)
    until_then = len(asked)
    time.sleep(0.1)
    assert len(asked) <= until_then + 1


def test_a_lost_lease_ends_what_runs_under_it_and_is_not_renewed_any_more() -> None:
    asked: list[int] = []
    ended = threading.Event()

    def renew() -> Renewal:
        asked.append(1)
        return LOST

    with LeaseKeeper().keeping(renew, 60) as lease, lease.ending_with(ended.set):
        assert ended.wait(5)
        assert (lease.held, lease.may_start) == (False, False)
        time.sleep(0.1)
    assert len(asked) == 1


def test_what_begins_under_a_lost_lease_ends_at_once() -> None:
    ended: list[str] = []
    with LeaseKeeper().keeping(lambda: LOST, 60) as lease:
        until(lambda: not lease.held)
        with lease.ending_with(lambda: ended.append("now")):
            assert ended == ["now"]


def test_nothing_more_is_started_under_a_lease_that_allows_only_what_runs() -> None:
    with LeaseKeeper().keeping(lambda: Renewal(held=True, may_start=False), 60) as lease:
        until(lambda: not lease.may_start)
        assert lease.held


def test_a_store_that_is_away_is_asked_again_and_takes_no_lease() -> None:
    asked: list[int] = []

    def renew() -> Renewal:
        asked.append(1)
        if len(asked) == 1:
            raise StoreUnavailable
        if len(asked) == 2:
            raise RuntimeError("a mistake in a store must not cost the others their leases")
        return HELD

    with LeaseKeeper().keeping(renew, 60) as lease:
        until(lambda: len(asked) >= 4)
        assert lease.held


def test_a_lease_is_not_kept_for_longer_than_its_work_may_take() -> None:
    asked: list[float] = []
    began = time.monotonic()

    def renew() -> Renewal:
        asked.append(time.monotonic() - began)
        return HELD

    with LeaseKeeper().keeping(renew, 0.2):
        time.sleep(0.5)
    assert asked
    assert max(asked) < 0.35


def test_a_lease_whose_work_ended_while_it_was_renewed_is_not_lost() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def renew() -> Renewal:
        asked.set()
        go_on.wait(5)
        return LOST

    with LeaseKeeper().keeping(renew, 60) as lease:
        assert asked.wait(5)
    go_on.set()
    time.sleep(0.05)
    assert lease.held


def test_what_is_logged_of_a_lease_names_what_it_is_kept_for() -> None:
    with (
        structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines,
        structlog.contextvars.bound_contextvars(plan_id="pl_1"),
        LeaseKeeper().keeping(lambda: LOST, 60) as lease,
    ):
        until(lambda: not lease.held)
        until(lambda: bool(lines))
    assert lines == [{"event": "lease_lost", "log_level": "warning", "plan_id": "pl_1"}]


def test_while_nothing_is_kept_no_thread_looks_for_it() -> None:
    keeper = LeaseKeeper()
    asked: list[int] = []

    def renew() -> Renewal:
        asked.append(1)
        return HELD

    for _ in range(2):
        before, others = len(asked), set(threading.enumerate())
        with keeper.keeping(renew, 60):
            [thread] = set(threading.enumerate()) - others
            until(lambda: len(asked) > before)  # noqa: B023
        thread.join(5)
        assert not thread.is_alive()
