"""How each kind of rule looks for what it is about in one text."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from chimera.models.text.allowance import Allowance, Looks
from chimera.models.text.engine import compiled, pattern
from chimera.models.text.folding import AsItIs, Folded, View
from chimera.models.text.keywords import expressions, is_whole

# What a search in a short text takes, in looks.
_WEIGHT = 0.25

# Start and end in the text itself, in characters.
Place = tuple[int, int]


class Finder(Protocol):
    """Finds places in a text."""

    # Expressions of which one matches the folded text wherever the finder finds something, also where the text is one
    # line of many. Empty: there are none, and each text has to be looked at.
    signs: tuple[str, ...]

    def find(self, text: View, looks: Looks | None = None) -> Iterator[Place]:
        """What is found, first to last as far as one expression finds it.

        Raises:
            UsedUp: so much only looks like it that no more may be looked at.
        """
        ...


class Keywords:
    """Words and phrases, however they are written."""

    def __init__(self, keywords: Sequence[str]) -> None:
        self.signs = expressions(keywords)
        self._expressions = [compiled(sign) for sign in self.signs]

    def find(self, text: View, looks: Looks | None = None) -> Iterator[Place]:
        """Where they stand."""
        looks = looks or Allowance().of("")
        for expression in self._expressions:
            match = expression.search(text.data)
            while match is not None:
                looks.look()
                start, end = match.span(1)
                if is_whole(text.data, start, end):
                    yield text.place(start, end)
                # What ended this word may begin the next.
                match = expression.search(text.data, end)


class Pattern:
    """A pattern that somebody wrote, in the text as it is and as it looks when it is folded.

    Raises:
        ValueError: it cannot be used.
    """

    signs: tuple[str, ...] = ()

    def __init__(self, expression: str) -> None:
        self._expression = pattern(expression)

    def find(self, text: View, looks: Looks | None = None) -> Iterator[Place]:
        """Where it matches, in one form and then in the other."""
        if looks is not None:
            looks.look(_WEIGHT)
        yield from self._places(text)
        if isinstance(text, Folded) and not text.original.isascii():
            yield from self._places(AsItIs(text.original))

    def _places(self, text: View) -> Iterator[Place]:
        for match in self._expression.finditer(text.data):
            start, end = match.span()
            if start < end:
                yield text.place(start, end)
