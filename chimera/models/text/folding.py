"""Folding: what a text looks like in plain letters, with the way back to the places in the text itself."""

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from typing import Protocol

from chimera.models.text.look_alikes import LOOK_ALIKES

_OTHER_THAN_ASCII = re.compile(r"[^\x00-\x7f]+")
# The names of letters that no decomposition leads to: ø, ᴀ, 🅰, 🇦.
_NAMED_LETTER = re.compile(
    r"(?:LATIN (?P<case>SMALL|CAPITAL) LETTER|LATIN LETTER SMALL CAPITAL|REGIONAL INDICATOR SYMBOL LETTER"
    r"|NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER|PARENTHESIZED LATIN (?:SMALL|CAPITAL) LETTER)"
    r" (?P<letter>[A-Z])(?: WITH .*)?"
)
_MINUS = "\u2212"
_NUMERO = "\u2116"
# No characters: unassigned, for private use, half of one. They are most of all codes, and quickly told.
_NO_CHARACTER = {"Cn", "Co", "Cs"}
# Of those the ones that no table could hold: private use, and planes that have no characters yet.
_NOWHERE_USED = re.compile("[\ue000-\uf8ff\U00040000-\U000dffff\U000f0000-\U0010ffff]")
_BLOCK = 1024  # characters
# One character that becomes a sentence (U+FDFA) would make a text many times as long.
_LONGEST = 8
# Default_Ignorable_Code_Point of Unicode 15 beyond the category Cf, which is ignored as a whole.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def fold(text: str) -> str:
    """The text as it looks in plain letters; ASCII stays as it is, and case too.

    Look-alikes of other alphabets, compatibility forms and letters with marks become the letter of ASCII that they look
    like, digits of all scripts those of ASCII. What cannot be seen is left out, other spaces become a space, dashes
    a `-`, quotation marks a `'`, and other signs a `~`. Letters that look like none stay. Where two characters stand
    for more or fewer than two, `Folded` knows where they came from.
    """
    if text.isascii():
        return text
    folded = _OTHER_THAN_ASCII.sub(lambda run: run.group().translate(_TABLE), _NOWHERE_USED.sub("~", text))
    return folded if folded.isascii() or _TABLE.marks.isdisjoint(folded) else "".join(_pieces(text))


class View(Protocol):
    """A text in a form to be looked at, as UTF-8; places in those bytes are told as places in the text itself."""

    data: bytes

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the text that the bytes `start` to `end`, at least one, came from."""
        ...


class Folded:
    """A text, folded; `data` where that is known already."""

    def __init__(self, original: str, data: bytes | None = None) -> None:
        self.original = original
        self.data = self._form(original) if data is None else data
        self._ends: dict[int, array[int]] = {}

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the text that the bytes `start` to `end`, at least one, came from."""
        if len(self.data) == len(self.original) and self.original.isascii():
            return start, end
        return self._character(start), self._character(end - 1) + 1

    def _character(self, place: int) -> int:
        """The character of the text that a byte came from."""
        if not self._blocks:
            return bisect_right(self._ends_within(0), place)
        block = bisect_right(self._blocks, place)
        return block * _BLOCK + bisect_right(
            self._ends_within(block), place - (self._blocks[block - 1] if block else 0)
        )

    def _form(self, text: str) -> bytes:
        return fold(text).encode()

    def _sizes(self, text: str) -> Iterator[int]:
        """By character of a text, the bytes that it became."""
        return (len(piece) if piece.isascii() else len(piece.encode()) for piece in _pieces(text))

    @cached_property
    def _blocks(self) -> "array[int]":
        """By block of a long text, where the bytes of what became of it end: one character at a time takes much longer.

        None where marks are folded by what stands before them, maybe in another block.
        """
        size = len(self.original)
        if size <= _BLOCK or not _TABLE.marks.isdisjoint(self.original):
            return array("Q")
        blocks = (self.original[start : start + _BLOCK] for start in range(0, size, _BLOCK))
        return array("Q", accumulate(len(self._form(block)) for block in blocks))

    def _ends_within(self, block: int) -> "array[int]":
        """By character of a block, or where there are none of the text, where the bytes of what became of it end."""
        if block not in self._ends:
            text = self.original[block * _BLOCK : (block + 1) * _BLOCK] if self._blocks else self.original
            self._ends[block] = array("Q", accumulate(self._sizes(text)))
        return self._ends[block]


class AsItIs(Folded):
    """A text that is not folded; half a character (a lone surrogate) is a `?`."""

    def _form(self, text: str) -> bytes:
        return text.encode(errors="replace")

    def _sizes(self, text: str) -> Iterator[int]:
        return (len(char.encode(errors="replace")) for char in text)


def is_of_a_word(char: str) -> bool:
    """Whether the letters of a word go on with it: digits, and letters of alphabets with capital and small ones.

    In other scripts words stand side by side without a space, or small words are written onto the next.
    """
    return char.isdigit() or char.lower() != char.upper()


def _pieces(text: str) -> Iterator[str]:
    """What becomes of each character. A mark that makes vowels of its script is left out behind a letter of ASCII."""
    last = ""
    for char in text:
        piece = char if char.isascii() else _TABLE[ord(char)]
        if last.isascii() and last.isalnum() and piece in _TABLE.marks:
            piece = ""
        yield piece
        last = piece[-1:] or last


class _Table(dict[int, str]):
    """What becomes of a character, found when it is first met."""

    def __init__(self) -> None:
        super().__init__()
        # Marks met so far that stay, unless behind a letter of ASCII.
        self.marks: set[str] = set()

    def __missing__(self, code: int) -> str:
        char = chr(code)
        piece = _folded(char)
        if unicodedata.category(char)[0] == "M" and piece == char:
            self.marks.add(char)
        self[code] = piece
        return piece


_TABLE = _Table()


def _folded(char: str) -> str:
    """What becomes of one character."""
    category = unicodedata.category(char)
    if char.isascii():
        return char
    if category in _NO_CHARACTER and not _IGNORABLE.fullmatch(char):
        return "~"
    if category == "Cf" or _IGNORABLE.fullmatch(char):
        return ""
    if category[0] == "M":
        return "" if _is_decoration(char) else char
    if category[0] in "LN":
        return _letter_or_digit(char)
    return _sign(char, category)


def _is_decoration(mark: str) -> bool:
    """Whether a mark stands above, below, on or around any letter; the others make vowels of their script."""
    combining = unicodedata.combining(mark)
    return unicodedata.category(mark) == "Me" or combining == 1 or 10 <= combining <= 36 or combining >= 200


def _letter_or_digit(char: str) -> str:
    if char in LOOK_ALIKES:
        return LOOK_ALIKES[char]
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    named = None if unicodedata.category(char) == "Lo" else _named(char)
    return _decomposed(char) or named or (char.casefold() if char.casefold().isascii() else char)


def _sign(char: str, category: str) -> str:
    if category[0] == "Z":
        return " "
    if category == "Pd" or char == _MINUS:
        return "-"
    if char == _NUMERO:
        return "#"
    if category in {"Pi", "Pf"}:
        return "'"
    if category == "Sk":
        return "~"
    return _named(char) or _decomposed(char) or "~"


def _decomposed(char: str) -> str | None:
    """What its parts become; none where it has none, or where marks of its script would be lost."""
    if "\uac00" <= char <= "\ud7a3":  # Hangul: half a syllable would be found in others
        return None
    parts = unicodedata.normalize("NFKD", char)
    if parts == char:
        return None
    pieces = [_folded(part) for part in parts]
    whole = "".join(pieces)
    kept = any(unicodedata.category(piece)[0] == "M" for piece in whole)
    return char if kept or len(whole) > _LONGEST else whole


def _named(char: str) -> str | None:
    found = _NAMED_LETTER.fullmatch(unicodedata.name(char, ""))
    if found is None:
        return None
    return found["letter"].lower() if found["case"] == "SMALL" else found["letter"]
