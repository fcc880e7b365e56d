"""How ids are written for people: a prefix that says what they name, then the UUID in hex, whole or short.

The UUIDs are of version 7 (an agent's is of version 5, and holds no time): their first 12 digits are the time, and ids
of one millisecond differ from digit 20 on (measured: the tasks of one plan need 24 of 32 digits to be told apart by a
prefix). So the short form is made of the two parts that differ: four digits of the time (units of 17.5 min, which come
again after 2.2 years) and the last eight, which are random. The time keeps a look-up to a few ranges of the primary
key, without an index of its own.
"""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from chimera.errors import InvalidInput

_DIGITS = re.compile(r"[0-9a-f]{32}")
_SOME_DIGITS = re.compile(r"[0-9a-f]*")

# Fewer digits of a prefix would name everything that was made within 18 minutes or longer.
MIN_PREFIX = 8
# The digits of the short form: of the time, and from the end.
_TIME = slice(3, 7)
_TIME_DIGITS, _TAIL_DIGITS = 4, 8
_SHORT = _TIME_DIGITS + _TAIL_DIGITS
# The milliseconds of one value of the short form's time, as a power of two.
_UNIT_BITS = 20
# An id may have been made by a machine whose clock is ahead.
_AHEAD = timedelta(days=1)


class IdKind(StrEnum):
    """The prefix of each kind of id."""

    PLAN = "pl"
    TASK = "tk"
    CARD = "rc"
    AGENT = "ag"


class IdRange(NamedTuple):
    """Ids from `low` to `high`, both included, that end with these hex digits."""

    low: UUID
    high: UUID
    tail: str = ""

    def holds(self, value: UUID) -> bool:
        """Whether an id is one of them."""
        return self.low <= value <= self.high and value.hex.endswith(self.tail)


def format_id(kind: IdKind, value: UUID) -> str:
    """`pl_0199f1...`: 32 hex digits after the prefix."""
    return f"{kind}_{value.hex}"


def short_id(text: str) -> str:
    """`tk_21baab1522da` for an id as `format_id` writes it: four digits of its time, and its last eight."""
    prefix, _, digits = text.partition("_")
    return f"{prefix}_{digits[_TIME]}{digits[-_TAIL_DIGITS:]}"


def parse_id(kind: IdKind, text: str) -> UUID:
    """The UUID in an id as `format_id` writes it.

    Raises:
        InvalidInput: the text is not such an id; the message says what one looks like.
    """
    prefix, _, digits = text.partition("_")
    if prefix == kind and _DIGITS.fullmatch(digits):
        return UUID(hex=digits)
    raise InvalidInput(f"{text!r} is not {name_of(kind)} id: one looks like {kind}_ and 32 hex digits")


def whole_id(kind: IdKind, text: str) -> UUID | None:
    """The UUID in a whole id: as `format_id` writes it, or as databases and other programs write UUIDs; else None."""
    digits = text.removeprefix(f"{kind}_").lower()
    digits = digits.replace("-", "") if len(digits) == 36 else digits
    return UUID(hex=digits) if _DIGITS.fullmatch(digits) else None


def ranges_of(kind: IdKind, text: str, now: datetime) -> list[IdRange]:
    """The ids that a text may mean that is no whole one: those that begin so, and those whose short form it is.

    Args:
        kind: what it names.
        text: 8 or more hex digits, with or without the kind's prefix.
        now: an aware time.

    Raises:
        InvalidInput: it can be no such id; the message says what one looks like.
    """
    digits = text.removeprefix(f"{kind}_").lower()
    if not _SOME_DIGITS.fullmatch(digits) or not MIN_PREFIX <= len(digits) < 32:
        raise InvalidInput(
            f"{text!r} is not {name_of(kind)} id: one looks like {kind}_ and 32 hex digits, "
            f"or its first {MIN_PREFIX} or more, or its short form as tables show it"
        )
    ranges = [_beginning(digits)]
    if len(digits) == _SHORT:
        time, tail = digits[:_TIME_DIGITS], digits[_TIME_DIGITS:]
        latest = int((now + _AHEAD).timestamp() * 1000) >> _UNIT_BITS + 4 * _TIME_DIGITS
        ranges += [_beginning(f"{turn:03x}{time}", tail) for turn in range(latest + 1)]
    return ranges


def _beginning(digits: str, tail: str = "") -> IdRange:
    return IdRange(low=UUID(hex=digits.ljust(32, "0")), high=UUID(hex=digits.ljust(32, "f")), tail=tail)


def name_of(kind: IdKind) -> str:
    """`a plan`, `an agent`; a card is a review card in messages elsewhere too."""
    return f"{'an' if kind is IdKind.AGENT else 'a'} {kind.name.lower()}"
