"""What may be spent on looking at the text of one result, so that no text holds up the results of others."""

from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn, TypeVar

Thing = TypeVar("Thing")

# Bytes of folded text of one result that are looked at.
MOST_BYTES = 4 << 20
# What a Judge takes for one result at the most, where neither bytes nor looks were too many.
MOST_SECONDS = 1.0
# A look is what one candidate takes that only looks like something: some 3 µs. So many are free, and one more for each
# so many bytes of text. A text with more near misses has a hit as a rule, since one in ten of them is one by chance.
FREE_LOOKS = 4000
BYTES_FOR_A_LOOK = 320
# How many looks there are between two of the clock.
_LOOKS_BETWEEN = 256


class UsedUp(Exception):
    """The allowance of a result is used up; its text was not looked at to the end."""

    def __init__(self, of: str, *, of_one: bool = False) -> None:
        super().__init__(of)
        # Whether only one rule may look no more.
        self.of_one = of_one


class Allowance:
    """Counts what is spent on one result: its bytes, the looks of each rule, and, as a last resort, time.

    Without `is_late` the same text always gets as far.
    """

    __slots__ = ("_by_rule", "_is_late", "_most_bytes", "bytes", "used_up")

    def __init__(self, most_bytes: int = MOST_BYTES, is_late: Callable[[], bool] | None = None) -> None:
        self._most_bytes = most_bytes
        self._is_late = is_late
        self._by_rule: dict[str, Looks] = {}
        self.bytes = 0
        # What was used up first: bytes, candidates or seconds; None where it did for all.
        self.used_up: str | None = None

    def read(self, size: int) -> None:
        """Takes a text of so many bytes in.

        Raises:
            UsedUp: that is more than is looked at.
        """
        self.bytes += size
        if self.bytes > self._most_bytes:
            self.refuse("bytes")
        if self._is_late is not None:
            self.check_clock()

    def of(self, rule: str) -> "Looks":
        """The looks of one rule: one that used up its own does not take those of another."""
        if rule not in self._by_rule:
            self._by_rule[rule] = Looks(self)
        return self._by_rule[rule]

    def check_clock(self) -> None:
        """Raises UsedUp where it took too long."""
        if self._is_late is not None and self._is_late():
            self.refuse("seconds")

    def refuse(self, of: str, *, of_one: bool = False) -> NoReturn:
        """Raises UsedUp."""
        self.used_up = self.used_up or of
        raise UsedUp(of, of_one=of_one)


class Looks:
    """What one rule has looked at in a result."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.spent = 0.0
        self._next_clock = float(_LOOKS_BETWEEN)

    def look(self, weight: float = 1.0) -> None:
        """Takes a look at a candidate.

        Raises:
            UsedUp: there were as many as may be, or it took too long.
        """
        self.spent += weight
        if self.spent > self._next_clock:
            self._next_clock = self.spent + _LOOKS_BETWEEN
            if self.spent > FREE_LOOKS + self.allowance.bytes / BYTES_FOR_A_LOOK:
                self.allowance.refuse("candidates", of_one=True)
            self.allowance.check_clock()

    def each(self, things: Iterable[Thing], weight: float = 1.0) -> Iterator[Thing]:
        """Takes a look at each."""
        for thing in things:
            self.look(weight)
            yield thing
