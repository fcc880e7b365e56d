"""Credentials in texts: keys whose form says whose they are, and values that look drawn at random."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import log2

from chimera.models.text.allowance import Looks
from chimera.models.text.engine import standing

_KEYS = "|".join(
    (
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # Amazon Web Services
        r"-----BEGIN (?:[A-Z0-9]{2,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        r"\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}",  # JSON Web Token
        r"\bgh[oprsu]_[A-Za-z0-9]{36,}",  # GitHub
        r"\bgithub_pat_[A-Za-z0-9_]{22,}",
        r"\bglpat-[A-Za-z0-9_\-]{20,}",  # GitLab
        r"\bxox[abeoprs]-[A-Za-z0-9\-]{10,}",  # Slack
        r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
        r"\bsk-(?:ant|proj|svcacct|or)-[A-Za-z0-9_\-]{20,}",  # Anthropic, OpenAI, OpenRouter
        r"\bsk-[A-Za-z0-9]{32,}",
        r"\bAIza[A-Za-z0-9_\-]{35}",  # Google
        r"\bnpm_[A-Za-z0-9]{36}",
        r"\bpypi-AgE[A-Za-z0-9_\-]{50,}",
    )
)
# A password in an address: the first group.
_ADDRESS = r"\b[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s:/@\"'<>]{0,64}:([^\s:/@\"'<>]{3,64})@"
# A token as HTTP sends it: the first group.
_BEARER = r"\b(?i:bearer)[ \t]{1,4}([0-9A-Za-z+/_.=~\-]{20})"
# A secret key of Amazon Web Services behind its name, of which the form says nothing: the first group.
_AMAZON = (
    r"(?i:\baws[a-z_ .\-]{0,20}key|secret[_ \-]?access[_ \-]?key)[\"']?[ \t]{0,4}[=:][ \t]{0,4}[\"']?"
    r"([A-Za-z0-9/+]{40})\b"
)
# A value behind the name of a secret: the first group.
_GIVEN = (
    r"(?i:(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?"
    r"|(?:api|access|auth|private|secret|account)[_\- ]?key))"
    r"[\"']?[ \t]{0,4}(?:=>|:=|=|:)[ \t]{0,4}[\"']?([0-9A-Za-z+/_.=~\-]{16})"
)
CREDENTIALS = (_KEYS, _ADDRESS, _AMAZON, _BEARER, _GIVEN)

# What stands for a password that somebody is to fill in: ${PASSWORD}, {password}, %s, ****.
_PLACEHOLDER = re.compile(rb"[$%{\[(*]|x+$|password$|pass$|pwd$|secret$", re.IGNORECASE)
# As many more characters of a value as are looked at.
_GOES_ON = re.compile(rb"[0-9A-Za-z+/_.=~\-]{0,184}")
# What it takes to see whether a value looks drawn at random, in looks.
_WEIGHT_OF_ENTROPY = 10.0
# Bits a character: what 16 hexadecimal digits drawn at random have nearly always.
_LEAST_ENTROPY = 2.8
_DIGIT = re.compile(rb"[0-9]")
# 0 a digit, A a capital, a a small letter, - any other.
_KINDS = (
    "".join(
        "0" if char.isdigit() else "A" if char.isupper() else "a" if char.islower() else "-"
        for char in map(chr, range(128))
    ).encode()
    + b"-" * 128
)
_CHANGES = {b"0A", b"0a", b"A0", b"a0", b"aA"}


def credentials(data: bytes, looks: Looks) -> Iterator[tuple[int, int]]:
    """Where credentials stand in UTF-8, in bytes."""
    for found in looks.each(standing(_KEYS).finditer(data)):
        yield found.span()
    for found in looks.each(standing(_AMAZON).finditer(data)):
        yield found.span(1)
    for found in looks.each(standing(_ADDRESS).finditer(data)):
        if not _PLACEHOLDER.match(found.group(1)):
            yield found.span(1)
    for found in looks.each(standing(_BEARER).finditer(data)):
        start, end = _whole(data, *found.span(1))
        if len(_DIGIT.findall(data[start:end])) >= 2:
            yield start, end
    for found in looks.each(standing(_GIVEN).finditer(data), _WEIGHT_OF_ENTROPY):
        start, end = _whole(data, *found.span(1))
        if looks_random(data[start:end]):
            yield start, end


def _whole(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A value as far as it goes on and is looked at."""
    rest = _GOES_ON.match(data, end)
    return start, end if rest is None else rest.end()


def looks_random(value: bytes) -> bool:
    """Whether a value is one that a machine drew: many different characters, digits among them, and no words.

    In words and names letters of a kind stand together, but for the capital that begins one; in what is drawn at random
    nearly every second character is of another kind (digit, capital, small letter) than the one before it.
    """
    counts = Counter(value)
    entropy = -sum(count / len(value) * log2(count / len(value)) for count in counts.values())
    kinds = value.translate(_KINDS)
    changes = sum(bytes(pair) in _CHANGES for pair in pairwise(kinds))
    return entropy >= _LEAST_ENTROPY and b"0" in kinds and changes >= len(value) / 4
