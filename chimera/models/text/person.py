"""A person's name as the record has it: written in one way, and nobody else's."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from chimera.errors import InvalidInput
from chimera.models.text.folding import fold

LONGEST_NAME = 100  # characters
# What Chimera's own parts are called in the record, or could be taken for. The schema's is_person_name has the same.
RESERVED = frozenset(
    "app beat budget chimera gate judge owner planner policy seal sweep system worker".split()  # noqa: SIM905  read so
)
# A decision that a model was asked about is by `policy and fast-judge`; database roles are chimera_judge and so on.
_RESERVED_START = re.compile(r"policy and |chimera[ _]")
# Control and format characters, halves of characters, private and unassigned ones, line and paragraph separators.
_NEVER = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Who acts where a program does, and says no name.
PROGRAM = "app"


def person_key(name: str) -> str:
    """What tells people apart: `Alice`, `alice` and one with look-alikes of other alphabets are one person."""
    return fold(unicodedata.normalize("NFKC", name)).casefold()


def name_fault(name: str) -> str | None:
    """Why this cannot be a person's name, without its text where that could act on a terminal; None where it can."""
    normal = " ".join(unicodedata.normalize("NFKC", name).split())
    if any(unicodedata.category(char) in _NEVER for char in name):
        return "a name has no control, format or unassigned characters"
    if len(name) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} characters"
    if not any(char.isalnum() for char in name):
        return "a name has a letter or a digit"
    if name != normal:
        return f"a name is written in its normal form, and with single spaces between its words: {normal!r}"
    if person_key(name) in RESERVED or _RESERVED_START.match(person_key(name)):
        return f"{name!r} is what a part of Chimera is called, and no person's name"
    return None


def require_person(name: str, option: str = "a person's name") -> str:
    """The name, if it can be a person's.

    Raises:
        InvalidInput: it cannot; the message begins with what `option` says.
    """
    if fault := name_fault(name):
        raise InvalidInput(f"{option}: {fault}")
    return name


def require_actor(name: str) -> str:
    """The name, if it can be a person's or is that of a program that acts for nobody.

    Raises:
        InvalidInput: as `require_person`.
    """
    return name if name == PROGRAM else require_person(name, "actor")


def _checked(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(fault)
    return name


PersonName = Annotated[str, AfterValidator(_checked)]
