"""Regular expressions on RE2: time linear in the text, memory bounded, whoever wrote the expression."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Protocol

import re2

# Bytes that a compiled expression and its caches may take.
_MEMORY = 32 << 20
_MEMORY_OF_A_PATTERN = 8 << 20
LONGEST_PATTERN = 1000  # characters
# Of what is made here; beyond it RE2 has too little memory left to be quick.
LONGEST_EXPRESSION = 500_000
# Every kind of place that an expression can match without a character: ends, ends of lines, ends of words, and none.
_PROBES = (b"", b"ab", b" \n", b"ab, cd\n\nef ..")


class Match(Protocol):
    """Where an expression matched."""

    def span(self, group: int = 0) -> tuple[int, int]:
        """Start and end, in bytes."""
        ...

    def group(self, group: int = 0) -> bytes:
        """What stands there."""
        ...


class Expression(Protocol):
    """A compiled expression over the UTF-8 bytes of a text."""

    def search(self, text: bytes, pos: int = 0) -> Match | None:
        """The first match that starts at or behind a byte."""
        ...

    def finditer(self, text: bytes) -> Iterator[Match]:
        """Every match, none overlapping another."""
        ...


def compiled(expression: str) -> Expression:
    """An expression that is made here."""
    return _compiled(expression, _MEMORY)


@cache
def standing(expression: str) -> Expression:
    """One of the package's own expressions, of which there are few; compiled once in a process."""
    return compiled(expression)


def any_of(expressions: Iterable[str]) -> tuple[Expression, ...]:
    """What finds whether one of the expressions matches, without groups: as few as fit, one as a rule."""
    joined: list[str] = []
    for expression in expressions:
        if joined and len(joined[-1]) + len(expression) < LONGEST_EXPRESSION:
            joined[-1] += f"|(?:{expression})"
        else:
            joined.append(f"(?:{expression})")
    return tuple(_compiled(expression, _MEMORY, has_groups=False) for expression in joined)


def pattern(expression: str) -> Expression:
    """A pattern that somebody wrote.

    Raises:
        ValueError: it is too long or large, no expression of RE2, or matches where nothing is.
    """
    if len(expression) > LONGEST_PATTERN:
        raise ValueError(f"is {len(expression)} characters long; a pattern has at most {LONGEST_PATTERN}")
    try:
        found = _compiled(expression, _MEMORY_OF_A_PATTERN)
    except re2.error as exc:
        raise ValueError(
            f"is no expression of RE2 ({_said(exc)}); RE2 has no look-around and no back-references, so that its time"
            " is linear: https://github.com/google/re2/wiki/Syntax"
        ) from None
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
    if any(start == end for text in _PROBES for start, end in (match.span() for match in found.finditer(text))):
        raise ValueError("matches where there is nothing (an empty text, or a place between characters)")
    return found


def _compiled(expression: str, memory: int, *, has_groups: bool = True) -> Expression:
    options = re2.Options()
    # Where groups are told, all that matched is looked at once more, by a slower engine.
    options.never_capture = not has_groups
    options.max_mem = memory
    options.log_errors = False
    found: Expression = re2.compile(expression, options)
    # It keeps the last 128, which may be large, and of policies that are no longer in force.
    re2.purge()
    return found


def _said(exc: re2.error) -> str:
    message = exc.args[0]
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)
