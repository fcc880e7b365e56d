"""How ids are written for people: a prefix that says what they name, then the UUID in hex."""

import re
from enum import StrEnum
from uuid import UUID

from chimera.errors import InvalidInput

_DIGITS = re.compile(r"[0-9a-f]{32}")


class IdKind(StrEnum):
    """The prefix of each kind of id."""

    PLAN = "pl"
    TASK = "tk"
    CARD = "rc"
    AGENT = "ag"


def format_id(kind: IdKind, value: UUID) -> str:
    """`pl_0199f1...`: 32 hex digits after the prefix."""
    return f"{kind}_{value.hex}"


def parse_id(kind: IdKind, text: str) -> UUID:
    """The UUID in an id as `format_id` writes it.

    Raises:
        InvalidInput: the text is not such an id; the message says what one looks like.
    """
    prefix, _, digits = text.partition("_")
    if prefix == kind and _DIGITS.fullmatch(digits):
        return UUID(hex=digits)
    article = "an" if kind is IdKind.AGENT else "a"
    raise InvalidInput(f"{text!r} is not {article} {kind.name.lower()} id: one looks like {kind}_ and 32 hex digits")
