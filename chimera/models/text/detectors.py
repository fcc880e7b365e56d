"""What is found by more than a pattern: numbers with check digits, addresses, and texts that only a machine writes.

Each has `signs`, expressions that match wherever it may find something, and looks closer at what matches them.
"""

import re
from collections.abc import Callable, Iterator, Sequence, Set
from enum import StrEnum
from functools import partial

from chimera.models.text import accounts, cards
from chimera.models.text.allowance import Allowance, Looks
from chimera.models.text.credentials import CREDENTIALS, credentials
from chimera.models.text.engine import standing
from chimera.models.text.finders import Place
from chimera.models.text.folding import View
from chimera.models.text.surroundings import begins_behind, ends_before


class Detector(StrEnum):
    """What is found by more than a pattern."""

    CARD_NUMBER = "card_number"
    SSN = "ssn"
    IBAN = "iban"
    EMAIL = "email"
    PHONE = "phone"
    CREDENTIAL = "credential"


def known_regions() -> Set[str]:
    """The countries whose telephone numbers are known."""
    from chimera.models.text.phones import REGIONS

    return REGIONS


# A place in UTF-8, in bytes.
Bytes = tuple[int, int]

_DIGITS = re.compile(rb"[0-9]+")

_SSN = r"([0-9]{3}-[0-9]{2}-[0-9]{4})"
# Where it is called one, other ways to write it count too.
_CALLED_SSN = r"(?i:ssn|social security)[^0-9]{1,30}([0-9]{3}[ .\-]?[0-9]{2}[ .\-]?[0-9]{4})"
_NEVER_ISSUED = re.compile(r"000|666|9|\d{3}00|\d{5}0000")

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
# It is looked for by its `@`: of what may stand before that nothing begins with it.
_HOST = rf"@(?:{_LABEL}\.){{1,5}}[A-Za-z]{{2,24}}"
_EMAIL = r"[A-Za-z0-9_%+\-]@[A-Za-z0-9]"
_OF_A_NAME = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+'-"
_NO_END_OF_A_NAME = b".'"
_LONGEST_NAME = 64
# In https://user:password@host the end looks like one.
_USER_OF_AN_ADDRESS = re.compile(rb"://[^\s/?#]*\Z")
_ADDRESS_LOOKED_AT = 100
# icon@2x.png is a file.
_FILE_ENDINGS = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp")

# Weaker than what is looked at, so that few states of an automaton do for it.
_INTERNATIONAL = r"(?:\+|\b00)[ (]{0,2}[1-9][0-9 ().\-/]{7}"
_NORTH_AMERICAN = r"(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
_PHONE = rf"{_INTERNATIONAL}|(?:^|[^0-9A-Za-z])(?:1[ .\-])?{_NORTH_AMERICAN}(?:$|[^0-9A-Za-z])"
_NATIONAL_PHONE = r"[0-9](?:[ ().\-/]{0,3}[0-9]){6}"


class Detected:
    """Finds what one detector is about; telephone numbers also as the regions write them at home."""

    def __init__(self, detector: Detector, regions: Sequence[str] = ()) -> None:
        self.signs, self._places = _BY_DETECTOR[detector]
        if detector is Detector.PHONE and regions:
            self.signs, self._places = (_PHONE, _NATIONAL_PHONE), partial(_phones, regions=tuple(regions))

    def find(self, text: View, looks: Looks | None = None) -> Iterator[Place]:
        """Where it stands, first to last; see `Finder`."""
        places = self._places(text.data, looks or Allowance().of(""))
        return (text.place(start, end) for start, end in places)


def ssns(data: bytes, looks: Looks) -> Iterator[Bytes]:
    """US social security numbers, written 123-45-6789, or otherwise where the text calls them that.

    Those that were withdrawn because they were printed (078-05-1120) are found as well: people still send them.
    """
    for sign in _SSN, _CALLED_SSN:
        for found in looks.each(standing(sign).finditer(data), 2.0):
            start, end = found.span(1)
            number = b"".join(_DIGITS.findall(found.group(1))).decode()
            if ends_before(data, start) and begins_behind(data, end) and not _NEVER_ISSUED.match(number):
                yield start, end


def emails(data: bytes, looks: Looks) -> Iterator[Bytes]:
    """E-mail addresses as they are given (RFC 5321, without quoting and comments)."""
    for host in looks.each(standing(_HOST).finditer(data)):
        at, end = host.span()
        name = data[max(0, at - _LONGEST_NAME) : at]
        start = at - len(name[len(name.rstrip(_OF_A_NAME)) :].lstrip(_NO_END_OF_A_NAME))
        if start == at or data[at - 1] in _NO_END_OF_A_NAME:
            continue
        before = data[max(0, start - _ADDRESS_LOOKED_AT) : start]
        if not _USER_OF_AN_ADDRESS.search(before) and not data[start:end].lower().endswith(_FILE_ENDINGS):
            yield start, end


def _phones(data: bytes, looks: Looks, regions: Sequence[str] = ()) -> Iterator[Bytes]:
    # The numbering plans take a moment to load: a process that looks for none does without.
    from chimera.models.text.phones import phones

    return phones(data, looks, regions)


_BY_DETECTOR: dict[Detector, tuple[tuple[str, ...], Callable[[bytes, Looks], Iterator[Bytes]]]] = {
    Detector.CARD_NUMBER: (cards.SIGNS, cards.card_numbers),
    Detector.SSN: ((_SSN, _CALLED_SSN), ssns),
    Detector.IBAN: (accounts.SIGNS, accounts.ibans),
    Detector.EMAIL: ((_EMAIL,), emails),
    Detector.PHONE: ((_PHONE,), _phones),
    Detector.CREDENTIAL: (CREDENTIALS, credentials),
}
