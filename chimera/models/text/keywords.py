"""Keywords as expressions for RE2 that find them in a folded text, however they are written."""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

import re2

from chimera.models.text.engine import LONGEST_EXPRESSION
from chimera.models.text.folding import fold, is_of_a_word

# What shows nothing in a text, though it is ASCII.
_CONTROLS = r"\x00-\x08\x0e-\x1f\x7f"
_SPACES = r"\s\x0b"
# Between the letters of a word that is otherwise whole: pass-word, pass_word, p*assword; in a long one also one space,
# or the end of a line: pass word, pass-\n word.
_JOINED = rf"[-_.*~{_CONTROLS}]*"
_JOINED_LONG = rf"(?:{_JOINED}|[ \t]|-?[ \t]?\r?\n[ \t]{{0,8}})"
# Between letters that stand apart, each: p a s s w o r d, p.a.s.s, p | a | s | s.
_APART = rf"[-_.*~,/|+:'\"{_SPACES}{_CONTROLS}]+"
# Between words.
_BETWEEN = rf"(?:[-_{_SPACES}{_CONTROLS}]+|[-_.*~/]{{1,2}})"
_START = r"(?:^|[^0-9A-Za-z])"
_END = r"(?:$|[^0-9A-Za-z])"

# Letters that are also written as digits or signs, in keywords that are long enough to be told from numbers. The first
# letter is no digit, so that no number is a word.
_WRITTEN_AS = {"a": "a4@", "e": "e3", "i": "i1l!|", "l": "l1i|", "o": "o0", "s": "s5$", "t": "t7"}
_FIRST_WRITTEN_AS = {"a": "a@", "i": "il", "l": "il", "s": "s$"}
_LONGEST = LONGEST_EXPRESSION // 2
_LONG = 5  # letters
_SPACED = 4  # letters: fewer standing apart are an abbreviation, a list, or nothing


def expressions(keywords: Iterable[str]) -> tuple[str, ...]:
    """Expressions whose first group is the place of a keyword. A keyword's inner spaces, `-` and `_` are one.

    They are apart by whether a keyword's ends are letters and digits of ASCII, which have to be whole words then; other
    ends are for `is_whole` to look at. Of many keywords there are several, none longer than an expression should be.
    """
    by_ends: dict[tuple[bool, bool], list[list[str]]] = {}
    for keyword in keywords:
        folded = fold(keyword).strip()
        ends = (_is_plain(folded[:1]), _is_plain(folded[-1:]))
        expression = _expression(keyword)
        groups = by_ends.setdefault(ends, [[]])
        if sum(map(len, groups[-1])) + len(expression) > _LONGEST:
            groups.append([])
        groups[-1].append(expression)
    return tuple(
        f"(?i:{_START if start else ''}({'|'.join(found)}){_END if end else ''})"
        for (start, end), groups in by_ends.items()
        for found in groups
    )


def has_letters(keyword: str) -> bool:
    """Whether there is anything of a keyword to be found."""
    return any(char.isalnum() for char in fold(keyword))


def is_whole(data: bytes, start: int, end: int) -> bool:
    """Whether no letter or digit beside a place in UTF-8 goes on with its word, in alphabets other than ASCII's."""
    if start > 0 and data[start - 1] > 0x7F and _go_on(_last(data, start), _first(data, start)):
        return False
    return not (end < len(data) and data[end] > 0x7F and _go_on(_last(data, end), _first(data, end)))


def _go_on(before: str, behind: str) -> bool:
    return is_of_a_word(before) and is_of_a_word(behind)


def _last(data: bytes, end: int) -> str:
    return data[max(0, end - 4) : end].decode(errors="ignore")[-1:]


def _first(data: bytes, start: int) -> str:
    return data[start : start + 4].decode(errors="ignore")[:1]


def _expression(keyword: str) -> str:
    words = [list(_letters(word)) for word in _words(keyword)]
    length = sum(len(word) for word in words)
    written: list[str] = []
    for number, word in enumerate(words):
        letters = [_one_of(options, length >= _LONG, number + place == 0) for place, options in enumerate(word)]
        joined = (_JOINED_LONG if length >= _LONG else _JOINED).join(letters)
        apart = length >= _SPACED and len(letters) > 1
        written.append(f"(?:{joined}|{_APART.join(letters)})" if apart else joined)
    return _BETWEEN.join(written)


def _words(keyword: str) -> list[str]:
    return unicodedata.normalize("NFC", keyword).replace("-", " ").replace("_", " ").split()


def _letters(word: str) -> Iterator[set[str]]:
    """By letter of the folded word, what it may have become: a capital may look like another letter than the small."""
    for before, char in pairwise(["", *word]):
        if unicodedata.category(char)[0] == "M" and fold(before + char) == fold(before):
            continue  # behind this letter folding leaves the mark out
        options = {fold(form).lower() for form in (char, char.lower(), char.upper())}
        if len(options) == 1:
            yield from ({letter} for letter in options.pop())
        else:
            yield options


def _one_of(options: set[str], is_long: bool, is_first: bool) -> str:
    if is_long:
        others = _FIRST_WRITTEN_AS if is_first else _WRITTEN_AS
        options = {letter for option in options for letter in (others.get(option, None) or [option])}
    escaped: list[str] = sorted(re2.escape(option) for option in options)
    if len(escaped) == 1:
        return escaped[0]
    return f"[{''.join(escaped)}]" if max(map(len, options)) == 1 else f"(?:{'|'.join(escaped)})"


def _is_plain(char: str) -> bool:
    return char.isascii() and char.isalnum()
