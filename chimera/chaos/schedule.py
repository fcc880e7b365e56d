"""The faults of a run, drawn from its seed: the same seed draws the same faults in the same order."""

import math
from collections.abc import Iterator, Sequence
from random import Random

from chimera.chaos.kinds import KINDS, Kind
from chimera.models.record import Record


class Draw(Record):
    """One fault, before it strikes."""

    kind: Kind
    # How long it lasts.
    seconds: float
    # 0..1: which of the processes, links or messages that there are then it strikes, and how hard.
    pick: float
    dose: float


class Scheduled(Record):
    """A fault of a storm."""

    # From the storm's beginning.
    at_seconds: float
    draw: Draw


def one_by_one(seed: int, kinds: Sequence[Kind] = KINDS) -> Iterator[Draw]:
    """Faults to inject one after the other, without end: every kind once in some order, and then all again."""
    random = _random(seed, "one_by_one")
    while True:
        for kind in random.sample(kinds, len(kinds)):
            yield _draw(random, kind)


def storm(seed: int, seconds: float, per_minute: float, kinds: Sequence[Kind] = KINDS) -> list[Scheduled]:
    """Faults that may overlap, at a mean rate in faults per minute; each kind is drawn by its weight."""
    random = _random(seed, "storm")
    weights = [kind.weight for kind in kinds]
    faults: list[Scheduled] = []
    at = random.expovariate(per_minute / 60.0)
    while at < seconds:
        [kind] = random.choices(kinds, weights)
        faults.append(Scheduled(at_seconds=at, draw=_draw(random, kind)))
        at += random.expovariate(per_minute / 60.0)
    return faults


def _draw(random: Random, kind: Kind) -> Draw:
    shortest, longest = kind.seconds
    # Always drawn, so that a kind's times change nothing of the faults after it.
    place = random.random()
    seconds = math.exp(math.log(shortest) + place * math.log(longest / shortest)) if shortest else 0.0
    return Draw(kind=kind, seconds=round(seconds, 3), pick=random.random(), dose=random.random())


def _random(seed: int, purpose: str) -> Random:
    return Random(f"{seed}:{purpose}")  # noqa: S311  drawn to be repeatable, not to be secret
