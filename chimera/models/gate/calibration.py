"""Whether a confidence means what it says: reliability of confidences against verdicts. Pure.

A verdict counts with its weight: one that was drawn as one of twenty speaks for twenty. Intervals of weighted shares
take the effective number of verdicts, (sum of weights)^2 / sum of squared weights (Kish, Survey Sampling, 1965).
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from pydantic import Field

from chimera.models.record import Record

# Of the normal distribution, for intervals of 95 %.
Z_95 = 1.959963984540054
BINS = 10


class Verdict(NamedTuple):
    """That a result of this confidence was right, or not."""

    confidence: float  # 0..1
    right: bool
    weight: float = 1.0  # how many results it speaks for; above 0


class Interval(Record):
    """Within which a share lies, with 95 % confidence."""

    low: float
    high: float


class Bin(Record):
    """The verdicts on confidences from `low` to below `high`; the last bin has 1.0 as well."""

    low: float
    high: float
    verdicts: int = Field(ge=0)
    # Of the results that they speak for: mean confidence, and the share that was right. None where there is no verdict.
    confidence: float | None = None
    right: float | None = None
    interval: Interval | None = None


class Calibration(Record):
    """How confidences and verdicts go together."""

    verdicts: int = Field(ge=1)
    effective: float  # number of verdicts, see above
    right: float  # share
    confidence: float  # mean
    bins: tuple[Bin, ...]
    ece: float
    brier: float


class Threshold(Record):
    """From which confidence on results are right as often as wanted."""

    wanted: float
    # The lowest that will do. None: no verdicts show it of any.
    threshold: float | None = None
    # At or above it, or where there is none at the one that comes nearest: how many verdicts, the share that was
    # right, the interval's lower end, and the share of all results.
    verdicts: int = 0
    precision: float | None = None
    low: float | None = None
    share: float | None = None
    # Where there is none: about how many more verdicts it takes, if they are as those there are. None: more will not
    # do, nothing was right often enough.
    more: int | None = None


def wilson(share: float, number: float, z: float = Z_95) -> Interval:
    """The score interval of a share among a number of trials (E. B. Wilson, JASA 22:209-212, 1927).

    Args:
        share: 0..1.
        number: above 0; need not be whole.
        z: quantile of the normal distribution.
    """
    square = z * z
    middle = share + square / (2 * number)
    spread = z * math.sqrt(share * (1 - share) / number + square / (4 * number * number))
    scale = 1 + square / number
    # Rounding must not put the share itself outside.
    low, high = max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
    return Interval(low=min(low, share), high=max(high, share))


def calibrate(verdicts: Iterable[Verdict], bins: int = BINS) -> Calibration | None:
    """The reliability of confidences, in bins of the same width; None where there are no verdicts.

    The expected calibration error is the mean distance of confidence and share right over the bins, by their weight
    (Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015). The Brier
    score is the mean squared distance of confidence and verdict (G. W. Brier, Monthly Weather Review 78:1-3, 1950).
    """
    known = list(verdicts)
    if not known:
        return None
    sorted_in: list[list[Verdict]] = [[] for _ in range(bins)]
    for verdict in known:
        sorted_in[min(bins - 1, int(verdict.confidence * bins))].append(verdict)
    shown = tuple(_bin(number / bins, (number + 1) / bins, part) for number, part in enumerate(sorted_in))
    all_of = _Sum.of(known)
    distances = [
        _Sum.of(part).weight * abs((one.right or 0.0) - (one.confidence or 0.0))
        for one, part in zip(shown, sorted_in, strict=True)
    ]
    return Calibration(
        verdicts=len(known),
        effective=all_of.effective,
        right=all_of.share,
        confidence=all_of.mean,
        bins=shown,
        ece=math.fsum(distances) / all_of.weight,
        brier=math.fsum(v.weight * (v.confidence - v.right) ** 2 for v in known) / all_of.weight,
    )


def suggest(verdicts: Iterable[Verdict], wanted: float) -> Threshold:
    """The lowest threshold at or above which at least the wanted share is right, by the lower end of its interval.

    Args:
        verdicts: any number.
        wanted: the share, above 0 and below 1.
    """
    found = Threshold(wanted=wanted)
    nearest = Threshold(wanted=wanted)
    falling = sorted(verdicts, key=lambda verdict: -verdict.confidence)
    total = math.fsum(verdict.weight for verdict in falling)
    above = _Sum()
    for confidence, part in groupby(falling, key=lambda verdict: verdict.confidence):
        for verdict in part:
            above = above.plus(verdict)
        here = _seen(above, total, wanted)
        if here.low is not None and here.low >= wanted:
            found = here.model_copy(update={"threshold": confidence, "more": None})
        elif _is_nearer(here, nearest):
            nearest = here
    return found if found.threshold is not None else nearest


class _Sum(NamedTuple):
    """Verdicts, added up."""

    number: int = 0
    weight: float = 0.0
    squares: float = 0.0
    right_weight: float = 0.0
    confidence_weight: float = 0.0

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "_Sum":
        total = cls()
        for verdict in verdicts:
            total = total.plus(verdict)
        return total

    def plus(self, verdict: Verdict) -> "_Sum":
        confidence, right, weight = verdict
        return _Sum(
            self.number + 1,
            self.weight + weight,
            self.squares + weight * weight,
            self.right_weight + weight * right,
            self.confidence_weight + weight * confidence,
        )

    @property
    def share(self) -> float:
        return min(1.0, self.right_weight / self.weight)

    @property
    def mean(self) -> float:
        return min(1.0, self.confidence_weight / self.weight)

    @property
    def effective(self) -> float:
        return min(float(self.number), self.weight * self.weight / self.squares)


def _bin(low: float, high: float, verdicts: Sequence[Verdict]) -> Bin:
    if not verdicts:
        return Bin(low=low, high=high, verdicts=0)
    total = _Sum.of(verdicts)
    return Bin(
        low=low,
        high=high,
        verdicts=total.number,
        confidence=total.mean,
        right=total.share,
        interval=wilson(total.share, total.effective),
    )


def _missing(seen: _Sum, wanted: float) -> int | None:
    """How many more verdicts would show the wanted share, if the share right stays; None: none would.

    The lower end of Wilson's interval is at least P where n (share - P)^2 >= z^2 P (1 - P).
    """
    if seen.share <= wanted:
        return None
    needed = Z_95**2 * wanted * (1 - wanted) / (seen.share - wanted) ** 2
    return max(0, math.ceil((needed - seen.effective) * seen.number / seen.effective))


def _seen(above: _Sum, total: float, wanted: float) -> Threshold:
    """What the verdicts from a confidence on show, without naming it as a threshold."""
    return Threshold(
        wanted=wanted,
        verdicts=above.number,
        precision=above.share,
        low=wilson(above.share, above.effective).low,
        share=min(1.0, above.weight / total),
        more=_missing(above, wanted),
    )


def _is_nearer(here: Threshold, nearest: Threshold) -> bool:
    if here.more is not None:
        return nearest.more is None or here.more < nearest.more
    return nearest.more is None and (here.precision or 0.0) > (-1.0 if nearest.precision is None else nearest.precision)
