"""What is found by more than a pattern: numbers with check digits, addresses, and texts that only a machine writes.

Each has `signs`, expressions that match wherever it may find something, and looks closer at what matches them.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import lru_cache

from stdnum import iban, luhn, numdb

from chimera.models.text.credentials import CREDENTIALS, credentials
from chimera.models.text.engine import standing
from chimera.models.text.finders import Place
from chimera.models.text.folding import Folded


class Detector(StrEnum):
    """What is found by more than a pattern."""

    CARD_NUMBER = "card_number"
    SSN = "ssn"
    IBAN = "iban"
    EMAIL = "email"
    PHONE = "phone"
    CREDENTIAL = "credential"


# A place in UTF-8, in bytes.
Bytes = tuple[int, int]

_DIGITS = re.compile(rb"[0-9]+")
_START = r"(?:^|[^0-9A-Za-z])"
_END = r"(?:$|[^0-9A-Za-z])"
_ALONE_BEFORE = re.compile(rb"[0-9A-Za-z]")

_CARD = r"[0-9](?:[ .\-]{0,3}[0-9]){12,}"
_CARD_DIGITS = range(13, 20)
# By the first digits, the lengths that issuers give out (ISO/IEC 7812-1).
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:50|5[6-8]|6\d)\d{11,17}"  # Maestro, Discover, UnionPay, RuPay
)
# How the digits of a card are grouped: whole; groups of one size with a shorter last; 4-6-5 and 4-6-4.
_FOUR_SIX = {(4, 6, 5), (4, 6, 4)}
_FIRST_DIGITS = (b"2", b"3", b"4", b"5", b"6")
_FRACTION = 9  # digits behind a dot that no group of a card number has

_SSN = r"([0-9]{3}-[0-9]{2}-[0-9]{4})"
# Where it is called one, other ways to write it count too.
_CALLED_SSN = r"(?i:ssn|social security)[^0-9]{1,30}([0-9]{3}[ .\-]?[0-9]{2}[ .\-]?[0-9]{4})"
_NEVER_ISSUED = re.compile(r"000|666|9|\d{3}00|\d{5}0000")

_IBAN = r"[A-Za-z]{2}[0-9]{2}(?:[ .\-]?[0-9A-Za-z]){11,30}"
_SEPARATORS = b" .-"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"[A-Za-z0-9_%+\-](?:[A-Za-z0-9._%+'\-]{{0,62}}[A-Za-z0-9_%+\-])?@(?:{_LABEL}\.){{1,5}}[A-Za-z]{{2,24}}"
# In https://user:password@host the end looks like one.
_ADDRESS_LOOKED_AT = 100
# icon@2x.png is a file.
_FILE_ENDINGS = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp")

_INTERNATIONAL = r"(?:\+|\b00)[ (]{0,2}[1-9][0-9 ().\-/]{6,24}[0-9]"
_NORTH_AMERICAN = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
_PHONE = rf"{_INTERNATIONAL}|{_START}(?:1[ .\-])?{_NORTH_AMERICAN}{_END}"


class Detected:
    """Finds what one detector is about."""

    def __init__(self, detector: Detector) -> None:
        self.signs, self._places = _BY_DETECTOR[detector]

    def find(self, text: Folded) -> Iterator[Place]:
        """Where it stands, first to last."""
        return (text.place(start, end) for start, end in self._places(text.data))


def card_numbers(data: bytes) -> Iterator[Bytes]:
    """Payment card numbers: 13 to 19 digits as issuers number cards, with Luhn's check digit, grouped as people do.

    Numbers beside it (an expiry date, an order number) are tried with it and without.
    """
    for run in standing(_CARD).finditer(data):
        groups = _groups(data, *run.span())
        first = 0
        while first < len(groups):
            last = _card_ends(data, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1


def _groups(data: bytes, start: int, end: int) -> list[Bytes]:
    """The groups of digits within, without those that letters go on with."""
    groups = [found.span() for found in _DIGITS.finditer(data, start, end)]
    if not _ends_before(data, groups[0][0]):
        groups.pop(0)
    if groups and not _begins_behind(data, groups[-1][1]):
        groups.pop()
    return groups


def _card_ends(data: bytes, groups: list[Bytes], first: int) -> int | None:
    """The last of the groups that are a card number together with the first."""
    start, end = groups[first]
    is_fraction = end - start >= _FRACTION and data[max(0, start - 1) : start] == b"."
    # In a list of single digits (ratings) nearly always some are a card number.
    is_listed = end - start == 1 and first > 0 and groups[first - 1][1] - groups[first - 1][0] == 1
    if is_fraction or is_listed or data[start : start + 1] not in _FIRST_DIGITS:
        return None
    sizes: list[int] = []
    count = 0
    for last in range(first, len(groups)):
        sizes.append(groups[last][1] - groups[last][0])
        count += sizes[-1]
        if count >= _CARD_DIGITS.stop:
            return None
        if count in _CARD_DIGITS and _are_grouped(sizes):
            digits = data[start : groups[last][1]].translate(None, b" .-").decode()
            if _ISSUERS.fullmatch(digits) and luhn.is_valid(digits):
                return last
    return None


def _are_grouped(sizes: list[int]) -> bool:
    return (len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]) or tuple(sizes) in _FOUR_SIX


def ssns(data: bytes) -> Iterator[Bytes]:
    """US social security numbers, written 123-45-6789, or otherwise where the text calls them that.

    Those that were withdrawn because they were printed (078-05-1120) are found as well: people still send them.
    """
    for sign in _SSN, _CALLED_SSN:
        for found in standing(sign).finditer(data):
            start, end = found.span(1)
            number = b"".join(_DIGITS.findall(found.group(1))).decode()
            if _ends_before(data, start) and _begins_behind(data, end) and not _NEVER_ISSUED.match(number):
                yield start, end


def ibans(data: bytes) -> Iterator[Bytes]:
    """Account numbers of ISO 13616: the country's length and form, and the check digits modulo 97."""
    expression, position = standing(_IBAN), 0
    while (found := expression.search(data, position)) is not None:
        start, end = found.span()
        end = _iban_ends(data, start, end) if _ends_before(data, start) else start
        if end > start:
            yield start, end
        position = max(end, start + 1)


def _iban_ends(data: bytes, start: int, longest: int) -> int:
    """Where the account number ends that begins at `start`; `start` where there is none."""
    length = _iban_length(data[start : start + 2].decode().upper())
    if length is None:
        return start
    characters = [place for place in range(start, longest) if data[place] not in _SEPARATORS]
    if len(characters) < length:
        return start
    end = characters[length - 1] + 1
    is_valid = _begins_behind(data, end) and iban.is_valid(data[start:end].decode(), check_country=False)
    return end if is_valid else start


@lru_cache(maxsize=1000)
def _iban_length(country: str) -> int | None:
    """How many characters an account number of a country has; none where it has none."""
    _, form = numdb.get("iban").info(country)[0]
    return 4 + sum(map(int, re.findall(r"[0-9]+", form["bban"]))) if "bban" in form else None


def emails(data: bytes) -> Iterator[Bytes]:
    """E-mail addresses as they are given (RFC 5321, without quoting and comments)."""
    for found in standing(_EMAIL).finditer(data):
        start, end = found.span()
        before = data[max(0, start - _ADDRESS_LOOKED_AT) : start].split()
        of_an_address = before and not data[start - 1 : start].isspace() and b"://" in before[-1]
        if not of_an_address and not found.group().lower().endswith(_FILE_ENDINGS):
            yield start, end


def phones(data: bytes) -> Iterator[Bytes]:
    """Telephone numbers that a country gives out: with `+` or `00` any country's, else North America's."""
    from phonenumbers import PhoneNumberMatcher

    for found in standing(_PHONE).finditer(data):
        start, _ = found.span()
        if data[start : start + 1].isdigit() and not _ends_before(data, start):
            continue
        # A character that is not ASCII stands at an end only, so places count the same in bytes.
        written = found.group().decode(errors="replace")
        has_zeros = written.startswith("00")
        for number in PhoneNumberMatcher(" +" + written[2:] if has_zeros else written, "US"):
            yield start + (0 if has_zeros else number.start), start + number.end


def _ends_before(data: bytes, start: int) -> bool:
    """Whether no letter or digit stands before a place."""
    return _ALONE_BEFORE.match(data, max(0, start - 1), start) is None


def _begins_behind(data: bytes, end: int) -> bool:
    return _ALONE_BEFORE.match(data, end, end + 1) is None


_BY_DETECTOR: dict[Detector, tuple[tuple[str, ...], Callable[[bytes], Iterator[Bytes]]]] = {
    Detector.CARD_NUMBER: ((_CARD,), card_numbers),
    Detector.SSN: ((_SSN, _CALLED_SSN), ssns),
    Detector.IBAN: ((_IBAN,), ibans),
    Detector.EMAIL: ((_EMAIL,), emails),
    Detector.PHONE: ((_PHONE,), phones),
    Detector.CREDENTIAL: (CREDENTIALS, credentials),
}
