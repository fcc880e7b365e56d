"""The clock: times that say their zone, ids in the order of their making."""

from datetime import UTC

import pytest

from chimera.adapters.system_clock import SystemClock
from chimera.ports.clock import Clock
from tests.fakes import FakeClock


@pytest.fixture(params=[FakeClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_now_is_utc_and_does_not_go_back(clock: Clock) -> None:
    first, second = clock.now(), clock.now()
    assert first.tzinfo is UTC
    assert first <= second


def test_draws_are_from_0_to_below_1(clock: Clock) -> None:
    assert all(0 <= clock.draw() < 1 for _ in range(1000))


def test_ids_are_of_version_7_and_sort_in_the_order_they_were_made(clock: Clock) -> None:
    ids = [clock.new_id() for _ in range(1000)]
    assert {made.version for made in ids} == {7}
    assert ids == sorted(set(ids))
