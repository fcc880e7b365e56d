"""Account numbers of ISO 13616 in texts: a country's length and form, and check digits modulo 97."""

import re
from collections.abc import Iterator
from functools import lru_cache

from stdnum import iban, numdb

from chimera.models.text.allowance import Allowance, Looks
from chimera.models.text.engine import standing
from chimera.models.text.surroundings import SEPARATORS, begins_behind, ends_before

# What an account number begins with: a country that has them, and check digits.
_COUNTRIES = "|".join(sorted(entry[1] for entry in numdb.get("iban").prefixes if "bban" in entry[3]))
_IBAN_HEAD = rf"(?i:{_COUNTRIES})[0-9]{{2}}"
SIGNS = (rf"{_IBAN_HEAD}(?:[{SEPARATORS}]{{0,3}}[0-9A-Za-z]){{11}}",)
_HEAD = re.compile(_IBAN_HEAD.encode())
_IBAN_REST = re.compile(rb"(?:[" + SEPARATORS.encode() + rb"]{0,3}[0-9A-Za-z]){11,30}")
_SEPARATORS = bytes(code for code in range(128) if not chr(code).isalnum())
_LONGEST = 34 * 4  # bytes, with separators


def ibans(data: bytes, looks: Looks) -> Iterator[tuple[int, int]]:
    """Account numbers of ISO 13616: the country's length and form, and the check digits modulo 97."""
    done = 0
    # No two heads overlap: letters are no digits.
    for head in looks.each(standing(_IBAN_HEAD).finditer(data)):
        start, end = head.span()
        if start < done or not ends_before(data, start):
            continue
        rest = _IBAN_REST.match(data, end)
        if rest is not None and (end := _iban_ends(data, start, rest.end(), looks)) > start:
            yield start, end
            done = end


def _iban_ends(data: bytes, start: int, longest: int, looks: Looks) -> int:
    """Where the account number ends that begins at `start`; `start` where there is none."""
    length = _iban_length(data[start : start + 2].decode().upper())
    characters = [place for place in range(start, longest) if data[place] not in _SEPARATORS]
    looks.look(2.0)
    if length is None or len(characters) < length:
        return start
    end = characters[length - 1] + 1
    number = data[start:end].translate(None, _SEPARATORS).decode()
    if not begins_behind(data, end) or int("".join(str(int(char, 36)) for char in number[4:] + number[:4])) % 97 != 1:
        return start
    return end if iban.is_valid(number, check_country=False) else start


@lru_cache(maxsize=1000)
def _iban_length(country: str) -> int | None:
    """How many characters an account number of a country has; none where it has none."""
    _, form = numdb.get("iban").info(country)[0]
    return 4 + sum(map(int, re.findall(r"[0-9]+", form["bban"]))) if "bban" in form else None


def is_within_account(data: bytes, place: int) -> bool:
    """Whether a place is within an account number, of which groups may look like something else."""
    looks = Allowance().of("")
    return any(
        head.start() < place < _iban_ends(data, head.start(), rest.end(), looks)
        for head in _HEAD.finditer(data, max(0, place - _LONGEST), place)
        if (rest := _IBAN_REST.match(data, head.end())) is not None
    )
