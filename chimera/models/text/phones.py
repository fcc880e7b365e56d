"""Telephone numbers in texts: with `+` or `00` any country's, else those of the regions that are asked for."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat

from chimera.models.text.accounts import is_within_account
from chimera.models.text.allowance import Looks
from chimera.models.text.engine import standing
from chimera.models.text.surroundings import begins_behind, ends_before, is_called_otherwise

REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)
# Without regions North America's are looked for, in the writings that nothing else has.
_INTERNATIONAL = r"(?:\+|\b00)[ (]{0,2}[1-9][0-9 ().\-/]{6,24}[0-9]"
_NORTH_AMERICAN = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
_PLAIN = rf"{_INTERNATIONAL}|(?:\b1[ .\-])?{_NORTH_AMERICAN}"
# Seven digits or more, in groups.
_NATIONAL = r"\(?[0-9](?:[ ().\-/]{0,3}[0-9]){6,}"
_WITH_NATIONAL = rf"{_INTERNATIONAL}|{_NATIONAL}"

# What a number is called right before it, with small words between; then digits without groups are one too.
_CALLED = re.compile(
    r"(?:tel|phone|fono|fon|mobile?|mobil|móvil|movil|cell|call|ring|fax|whatsapp|sms|handy|hotline|anruf)\w{0,6}"
    r"(?:[^0-9\w\n]|\b(?:number|no|nr|is|at|me|us|on|under|unter|the|my|ist|est|es|il|al|au|numéro|número|nummer)\b)*$",
    re.IGNORECASE,
)
_LOOKED_AT_BEFORE = 48  # bytes
# What phonenumbers takes to parse a number, in looks.
_WEIGHT = 12.0
_MOST_TRIES = 3
_MOST_GROUPS = 6
_GROUPINGS = ([3, 3, 3], [3, 2, 2, 2], [2, 2, 2, 2, 2])
_PLUS = ord("+")
_EXTENSION = re.compile(rb" ?(?:x|ext\.?) ?[0-9]{1,6}(?![0-9A-Za-z])")
_LAST_GROUP = re.compile(r"[^0-9]+[0-9]+$")
_GROUPS = re.compile(r"[0-9]+")
# Dates, addresses of computers, and numbers with a fraction.
_OTHER = re.compile(
    r"\(?(?:(?:19|20)\d\d([.\-/ ])\d\d?\1\d\d?\b|\d\d?([.\-/ ])\d\d?\2(?:19|20)\d\d\b"
    r"|\d{1,3}(?:\.\d{1,3}){3}$|[1-9]\d{0,2}\.\d{4,}|0\.)"
)
_LONGEST = 30  # characters
_LEAST_DIGITS = 9  # of a number that is not given out, but could be


def phones(data: bytes, looks: Looks, regions: Sequence[str] = ()) -> Iterator[tuple[int, int]]:
    """Where telephone numbers stand in UTF-8, in bytes.

    Args:
        data: the text.
        looks: what may be looked at.
        regions: countries (ISO 3166) whose numbers are looked for also as they are written at home.
    """
    for found in looks.each(standing(_WITH_NATIONAL if regions else _PLAIN).finditer(data)):
        start, end = found.span()
        if end - start > _LONGEST or (data[start] != _PLUS and not ends_before(data, start)):
            continue
        # It is ASCII, so places count the same in bytes.
        written = found.group().decode()
        context = _Context(regions=tuple(regions), called=bool(regions) and _is_called(data, start))
        # What stands behind an international number, or one that is called one, may be another (a date).
        tries = _MOST_TRIES if context.called or not regions or written.startswith(("+", "00")) else 1
        for _ in range(tries):
            end = start + len(written)
            if (begins_behind(data, end) or _EXTENSION.match(data, end)) and _is_number(
                written, context, data, start, looks
            ):
                yield start, end
                break
            shorter = _LAST_GROUP.sub("", written)
            if shorter in (written, ""):
                break
            written = shorter


class _Context(NamedTuple):
    regions: tuple[str, ...]
    called: bool  # a telephone number, by the words before it


def _is_called(data: bytes, start: int) -> bool:
    before = data[max(0, start - _LOOKED_AT_BEFORE) : start].decode(errors="ignore")
    return _CALLED.search(before) is not None


def _is_number(written: str, context: _Context, data: bytes, start: int, looks: Looks) -> bool:
    if written.startswith(("+", "00")):
        number = _parsed("+" + written[2:] if written[0] == "0" else written, None, looks)
        if number is not None:
            return phonenumbers.is_valid_number(number) or (
                number.country_code in _country_codes(context.regions) and _could_be(number)
            )
    if written[0] == "+":
        return False
    if not context.regions:
        number = _parsed(written, "US", looks)
        return number is not None and phonenumbers.is_valid_number(number)
    if _OTHER.match(written) or _stands_behind_number(data, start) or is_called_otherwise(data, start):
        return False
    groups = _GROUPS.findall(written)
    if len(groups) > _MOST_GROUPS or is_within_account(data, start):
        return False
    return any(_is_of(region, written, groups, context.called, looks) for region in context.regions)


def _is_of(region: str, written: str, groups: list[str], called: bool, looks: Looks) -> bool:
    """Whether a region writes such a number at home."""
    begins_with_zero, sizes = groups[0][0] == "0", [len(group) for group in groups]
    prefix, leading_zeros = _writes(region)
    # Where numbers begin with a zero at home, one without it is local, or none; so many digits alone are none either.
    if len(sizes) == 1 and not called and not (begins_with_zero and prefix == "0"):
        return False
    if (prefix == "0") != begins_with_zero and not leading_zeros and not (prefix == "0" and called):
        return False
    number = _parsed(written, region, looks)
    if number is None:
        return False
    if region in _NORTH_AMERICA:
        return _is_north_american(number, sizes, called)
    if phonenumbers.is_valid_number_for_region(number, region):
        return called or _is_written_so(number, sizes, begins_with_zero)
    grouped = len(sizes) > 1 and 1 < sizes[0] < 6 and min(sizes) > 1
    return begins_with_zero and prefix == "0" and _could_be(number) and (called or grouped)


def _stands_behind_number(data: bytes, start: int) -> bool:
    """Whether it is the end of something longer with digits: an account number, an address, a parameter."""
    return _BEHIND_NUMBER.search(data[max(0, start - 8) : start]) is not None


_BEHIND_NUMBER = re.compile(rb"[0-9][0-9A-Za-z]*[ .\-/]{0,3}\Z|[=&#/_]\Z")
_NORTH_AMERICA = {"US", "CA"}


def _is_north_american(number: PhoneNumber, sizes: list[int], called: bool) -> bool:
    national = str(number.national_number)
    if len(national) != 10 or min(national[0], national[3]) < "2":
        return False
    return sizes[-3:] == [3, 3, 4] or sizes[-2:] == [3, 7] or called


def _is_written_so(number: PhoneNumber, sizes: list[int], begins_with_zero: bool) -> bool:
    """Whether the groups are those of telephone numbers, or it begins as they do at home and little else does."""
    if begins_with_zero and (len(sizes) > 1 or sizes[0] > 9):
        return True
    shown = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return len(sizes) > 2 and (sizes in _GROUPINGS or sizes == [len(group) for group in _GROUPS.findall(shown)])


def _could_be(number: PhoneNumber) -> bool:
    """Whether it has the length of the country's numbers."""
    digits = len(phonenumbers.national_significant_number(number)) + 1
    return digits >= _LEAST_DIGITS and digits <= 13 and phonenumbers.is_possible_number(number)


def _parsed(written: str, region: str | None, looks: Looks) -> PhoneNumber | None:
    looks.look(_WEIGHT)
    try:
        return phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None


@cache
def _country_codes(regions: tuple[str, ...]) -> frozenset[int]:
    return frozenset(phonenumbers.country_code_for_region(region) for region in regions)


@cache
def _writes(region: str) -> tuple[str | None, bool]:
    """What a region's numbers begin with at home, and whether some begin with a zero of their own."""
    metadata = PhoneMetadata.metadata_for_region(region)
    example = phonenumbers.example_number(region)
    own = example is not None and bool(example.italian_leading_zero)
    return (metadata.national_prefix if metadata else None), own
