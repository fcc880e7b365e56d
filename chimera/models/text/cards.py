"""Payment card numbers in texts: an issuer's first digits, Luhn's check digit, grouped as people and programs do."""

import re
from collections.abc import Iterator

from chimera.models.text.accounts import is_within_account
from chimera.models.text.allowance import Looks
from chimera.models.text.engine import standing
from chimera.models.text.surroundings import SEPARATORS, begins_behind, ends_before

# What is looked at: issuers' first digits, with the separators that people use; groups of four, of 4-6-4 and single
# digits also with separators that are less usual.
_USUAL = r"[ .\-]"
_ANY = rf"[{SEPARATORS}]"
_SHAPES = (
    r"(?:[2-6][0-9]|18|06)[0-9]{10}",
    rf"(?:[2-6]|18)(?:{_USUAL}{{0,3}}[0-9]){{12}}",
    rf"[0-9]{{4}}{_ANY}{{1,3}}(?:[0-9]{{4}}{_ANY}{{1,3}}[0-9]{{4}}|[0-9]{{6}}{_ANY}{{1,3}}[0-9]{{4}})",
    r"[2-6](?:[ .\-_|\t\r\n/]{1,3}[0-9]){11}",
)
_RUN = rf"(?:{'|'.join(_SHAPES)})(?:{_ANY}{{0,3}}[0-9]){{0,12}}"
# Weaker, so that few states of an automaton do for it.
SIGNS = (rf"[0-9](?:{_ANY}{{0,3}}[0-9]){{11}}",)
# What a try takes, in looks.
_WEIGHT = 2.5

_CARD_DIGITS = range(12, 20)
# By the first digits, the lengths that issuers give out (ISO/IEC 7812-1).
_ISSUERS = re.compile(
    rb"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    rb"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    rb"|3[47]\d{13}"  # American Express
    rb"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners Club
    rb"|35\d{14,17}|(?:2131|1800)\d{11}"  # JCB
    rb"|(?:50|5[6-8]|6\d)\d{11,17}"  # Maestro, Discover, UnionPay, RuPay
    rb"|(?:5018|5020|5038|5[6-8]\d\d|6304|6390|6759|676[1-3]|0604)\d{8}"  # Maestro
)
# How the digits of a card are grouped: whole; groups of one size with a shorter last; 4-6-5 and 4-6-4.
_FOUR_SIX = {(4, 6, 5), (4, 6, 4)}
_FIRST = re.compile(rb"[2-6]|1800|0604")
_FRACTION = 9  # digits behind a dot that no group of a card number has
_LONGEST_GAP = 3
_DIGITS = re.compile(rb"[0-9]+")
_GAP_AND_GROUP = re.compile(rb"([" + SEPARATORS.encode() + rb"]{1,3})([0-9]{1,20})")
_LISTED = re.compile(rb"(?:^|[^0-9])[0-9][" + SEPARATORS.encode() + rb"]{1,3}\Z")
_WITHIN = bytes(code for code in range(128) if not chr(code).isdigit())
_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))


def card_numbers(data: bytes, looks: Looks) -> Iterator[tuple[int, int]]:
    """Where card numbers of 12 to 19 digits stand in UTF-8, in bytes.

    Numbers beside it (an expiry date, an order number) are tried with it and without.
    """
    done = 0
    for run in looks.each(standing(_RUN).finditer(data)):
        start, end = run.span()
        for group in _DIGITS.finditer(data, max(done, start), end):
            first = group.start()
            if first < done or _FIRST.match(data, first) is None or data[max(0, first - 1) : first].isdigit():
                continue
            looks.look(_WEIGHT)
            found = _card_end(data, first)
            if found and not is_within_account(data, first):
                yield first, found
                done = found


def _card_end(data: bytes, start: int) -> int:
    """Where the card number ends that begins at `start`; 0 where there is none."""
    first = _DIGITS.match(data, start)
    assert first is not None
    size = first.end() - start
    if size >= _CARD_DIGITS.stop or not ends_before(data, start) or _is_no_first_group(data, start, size):
        return 0
    sizes, gaps, count, end = [size], set[bytes](), size, first.end()
    while True:
        following = _GAP_AND_GROUP.match(data, end)
        if count in _CARD_DIGITS and _are_grouped(sizes, gaps, count):
            digits = data[start:end].translate(None, _WITHIN)
            if (
                _ISSUERS.fullmatch(digits)
                and _has_check_digit(digits)
                and begins_behind(data, end)
                and not (_may_be_listed(sizes, gaps, count) and _goes_on(data, start, following, sizes[0], gaps))
            ):
                return end
        if following is None:
            return 0
        size = following.end(2) - following.start(2)
        count += size
        if count >= _CARD_DIGITS.stop:
            return 0
        sizes.append(size)
        gaps.add(following.group(1))
        end = following.end()


def _is_no_first_group(data: bytes, start: int, size: int) -> bool:
    """Whether it is a fraction, or one of a list of single digits (ratings), of which nearly always some are a card."""
    if size >= _FRACTION:
        return data[max(0, start - 1) : start] == b"."
    return size == 1 and _LISTED.search(data[max(0, start - _LONGEST_GAP - 2) : start]) is not None


def _are_grouped(sizes: list[int], gaps: set[bytes], count: int) -> bool:
    if len(sizes) == 1 or tuple(sizes) in _FOUR_SIX:
        return True
    if _may_be_listed(sizes, gaps, count):
        return len(gaps) == 1 and sizes[0] in (1, 4) and len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]
    return len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]


def _may_be_listed(sizes: list[int], gaps: set[bytes], count: int) -> bool:
    """Whether a list of numbers, or the beginning of a longer one, is more often this than a card."""
    return len(sizes) > 1 and (count < 13 or any(gap.strip(b" .-") for gap in gaps))


def _goes_on(data: bytes, start: int, following: "re.Match[bytes] | None", size: int, gaps: set[bytes]) -> bool:
    """Whether groups of the same size go on before or behind, as in a table of numbers."""
    if len(gaps) > 1:
        return False
    (gap,) = gaps
    if following is not None and following.group(1) == gap and len(following.group(2)) == size:
        return True
    if data[max(0, start - len(gap)) : start] != gap:
        return False
    before = data[max(0, start - len(gap) - size - 1) : start - len(gap)]
    return before[-size:].isdigit() and not before[: len(before) - size].isdigit() and len(before) >= size


def _has_check_digit(digits: bytes) -> bool:
    """Luhn's check, as python-stdnum does it, in a tenth of the time."""
    return (sum(digits[-1::-2].translate(_VALUES)) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0
