"""Reliability of confidences: formulas against known values, and what holds for all verdicts."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.gate.calibration import Verdict, calibrate, suggest, wilson

SHARES = st.floats(0, 1)
VERDICTS = st.lists(
    st.builds(Verdict, st.integers(0, 100).map(lambda n: n / 100), st.booleans(), st.sampled_from([1.0, 4.0, 20.0])),
    min_size=1,
    max_size=60,
)


def verdicts(*parts: tuple[float, int, int]) -> list[Verdict]:
    """Verdicts at one confidence: the first number of them right, of the second number in all."""
    return [Verdict(confidence, number < right) for confidence, right, of in parts for number in range(of)]


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (9, 10, 0.5958, 0.9821), (15, 148, 0.0624, 0.1605)],
)
def test_wilson_s_interval(right: int, of: int, low: float, high: float) -> None:
    # 15 of 148 is Newcombe's example (Statistics in Medicine 17:857-872, 1998), method 3.
    interval = wilson(right / of, of)
    assert [interval.low, interval.high] == pytest.approx([low, high], abs=1e-4)


@given(SHARES, st.floats(0.5, 1e6))
def test_an_interval_holds_its_share_and_stays_within_bounds(share: float, number: float) -> None:
    interval = wilson(share, number)
    assert 0 <= interval.low <= share <= interval.high <= 1


@given(SHARES, st.integers(1, 1000))
def test_more_of_the_same_narrows_an_interval(share: float, number: int) -> None:
    few, many = wilson(share, number), wilson(share, number * 2)
    assert many.high - many.low <= few.high - few.low + 1e-9


def test_calibration_of_what_can_be_done_by_hand() -> None:
    found = calibrate(verdicts((0.25, 1, 2), (0.85, 4, 4)))
    assert found is not None
    assert (found.verdicts, found.effective) == (6, 6)
    assert found.right == pytest.approx(5 / 6)
    assert found.confidence == pytest.approx((0.5 + 3.4) / 6)
    assert found.ece == pytest.approx((2 * 0.25 + 4 * 0.15) / 6)
    assert found.brier == pytest.approx((0.75**2 + 0.25**2 + 4 * 0.15**2) / 6)
    third, ninth = found.bins[2], found.bins[8]
    assert (third.low, third.high, third.verdicts, third.right) == (0.2, 0.3, 2, 0.5)
    assert ninth.verdicts == 4
    assert [ninth.confidence, ninth.right] == pytest.approx([0.85, 1.0])
    assert sum(part.verdicts for part in found.bins) == 6
    assert found.bins[0].interval is None


def test_nothing_is_said_of_no_verdicts() -> None:
    assert calibrate([]) is None
    none = suggest([], 0.95)
    assert (none.threshold, none.more, none.verdicts) == (None, None, 0)


def test_one_is_in_the_last_bin_and_zero_in_the_first() -> None:
    found = calibrate([Verdict(1.0, True), Verdict(0.0, False)])
    assert found is not None
    assert (found.bins[-1].verdicts, found.bins[0].verdicts, found.ece, found.brier) == (1, 1, 0.0, 0.0)


def test_a_drawn_verdict_speaks_for_all_that_were_not_drawn() -> None:
    # Five of a hundred approvals were drawn, four of those right; all ten below the threshold were looked at.
    sampled = [Verdict(0.75, number < 4, 20.0) for number in range(5)]
    below = [Verdict(0.72, right=False) for _ in range(10)]
    found = calibrate([*sampled, *below])
    assert found is not None
    assert found.right == pytest.approx(80 / 110)
    assert found.effective == pytest.approx(110**2 / (5 * 400 + 10))
    weighed = found.bins[7].interval
    assert weighed is not None
    assert weighed.high - weighed.low > 0.5, "five drawn ones are no hundred"


@given(VERDICTS)
def test_errors_are_shares(found_in: list[Verdict]) -> None:
    found = calibrate(found_in)
    assert found is not None
    assert 0 <= found.ece <= 1
    assert 0 <= found.brier <= 1
    assert 0 < found.effective <= found.verdicts == len(found_in)


@given(VERDICTS, st.floats(0.01, 100))
def test_only_the_proportions_of_weights_count(found_in: list[Verdict], factor: float) -> None:
    one, other = calibrate(found_in), calibrate([v._replace(weight=v.weight * factor) for v in found_in])
    assert one is not None
    assert other is not None
    assert [one.ece, one.brier, one.effective] == pytest.approx([other.ece, other.brier, other.effective])


@given(VERDICTS)
def test_the_order_of_verdicts_does_not_count(found_in: list[Verdict]) -> None:
    one, other = calibrate(found_in), calibrate(found_in[::-1])
    assert one is not None
    assert other is not None
    assert [one.ece, one.brier] == pytest.approx([other.ece, other.brier])
    assert suggest(found_in, 0.8).threshold == suggest(found_in[::-1], 0.8).threshold


# The threshold.


def test_the_lowest_threshold_that_will_do() -> None:
    known = verdicts((0.9, 200, 200), (0.7, 98, 100), (0.5, 20, 100))
    found = suggest(known, 0.95)
    assert (found.threshold, found.verdicts, found.more) == (0.7, 300, None)
    assert found.precision == pytest.approx(298 / 300)
    assert found.share == pytest.approx(0.75)
    assert found.low is not None
    assert found.low >= 0.95


def test_a_threshold_below_one_that_will_not_do() -> None:
    # A dip between two good bands: what counts is all that is at or above the threshold.
    known = verdicts((0.9, 30, 30), (0.8, 18, 20), (0.7, 500, 500))
    assert suggest(known, 0.95).threshold == 0.7


def test_how_many_more_verdicts_it_takes() -> None:
    # All right, and yet too few: at 0.95 it takes 1.96^2 * 19 = 73 without a fault.
    found = suggest(verdicts((0.9, 40, 40)), 0.95)
    assert (found.threshold, found.more, found.verdicts, found.precision) == (None, 33, 40, 1.0)
    assert suggest(verdicts((0.9, 72, 72)), 0.95).more == 1
    assert suggest(verdicts((0.9, 73, 73)), 0.95).threshold == 0.9


def test_more_verdicts_do_not_help_where_too_little_is_right() -> None:
    found = suggest(verdicts((0.9, 90, 100), (0.6, 1, 100)), 0.95)
    assert (found.threshold, found.more) == (None, None)
    assert (found.verdicts, found.precision) == (100, 0.9), "the best there is"


@given(VERDICTS, st.sampled_from([0.5, 0.8, 0.95]))
def test_a_threshold_holds_what_it_promises_and_none_lower_does(found_in: list[Verdict], wanted: float) -> None:
    def low_from(threshold: float) -> float:
        above = [verdict for verdict in found_in if verdict.confidence >= threshold]
        weight, squares = sum(v.weight for v in above), sum(v.weight**2 for v in above)
        right = Fraction(int(sum(v.weight for v in above if v.right)), int(weight))
        return wilson(float(right), weight**2 / squares).low

    found = suggest(found_in, wanted)
    lows = {confidence: low_from(confidence) for confidence in {verdict.confidence for verdict in found_in}}
    good = [confidence for confidence, low in lows.items() if low >= wanted]
    if not any(math.isclose(low, wanted, abs_tol=1e-12) for low in lows.values()):
        assert found.threshold == (min(good) if good else None)
    assert (found.threshold is None) or found.more is None


@given(VERDICTS, st.floats(0.5, 0.9), st.floats(0.0, 0.09))
def test_who_wants_more_gets_no_lower_threshold(found_in: list[Verdict], wanted: float, more: float) -> None:
    modest, demanding = suggest(found_in, wanted).threshold, suggest(found_in, wanted + more).threshold
    if demanding is not None:
        assert modest is not None
        assert modest <= demanding
