"""What every record shares, and the one JSON text that hashes are taken of."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import re2
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

TenantId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
# An id as 32 hex digits.
HexId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
# Far from the ends of what Python can hold: to add an hour, or to look at it from another time zone, does not fail.
Instant = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
# PostgreSQL's text cannot hold NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class Record(BaseModel):
    """A frozen, strict record: no unknown field, no silent conversion, JSON-compatible (bytes as hex)."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        ser_json_bytes="hex",
        val_json_bytes="hex",
        # What does not fit may be content, and errors end up in logs.
        hide_input_in_errors=True,
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with `update` in it; what was computed of the original once is computed of the copy anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in copy.__dict__.keys() - type(copy).model_fields.keys():
            del copy.__dict__[name]
        return copy


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> str:
    """The one JSON text of a JSON-compatible value: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value is not JSON-compatible.
    """
    return _CANONICAL.encode(value)


# Deeper than this lists and mappings do not lie within each other in a result: Python's own limit is a thousand calls.
MAX_NESTING = 120
_LARGEST = 10**300
# What a text must hold for one of its values to be refused: looked for first, because hardly any does. RE2 takes a
# tenth of the time of `re`.
_SUSPECT = re2.compile(r"\\u0000|\\u[dD][89a-fA-F]|[0-9]{300}|[eE]\+?[0-9]{3}|Infinity|NaN")


def read_json(text: str) -> Any:
    """The value of a JSON text that somebody else wrote.

    Raises:
        ValueError: it is no JSON, nested more than MAX_NESTING deep, or holds a number that is not finite or has more
            than 300 digits, or a text with NUL or half a character. The message has nothing of the text.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError:
        raise ValueError("it is no JSON") from None  # or has a number of thousands of digits
    # Hardly any text has as many brackets: only then is it walked through.
    if text.count("[") + text.count("{") > MAX_NESTING and nesting(value) > MAX_NESTING:
        raise ValueError(f"it is nested more than {MAX_NESTING} deep")
    if _SUSPECT.search(text):
        _refuse_unstorable(value)
    return value


def nesting(value: object) -> int:
    """How deep lists and mappings lie within each other; 0 for a text or a number."""
    depth = 0
    level = [value]
    while level := [each for each in level if isinstance(each, list | tuple | dict)]:
        depth += 1
        level = [item for each in level for item in _below(each)]
    return depth


def _below(value: Any) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _refuse_unstorable(value: object) -> None:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left.extend(item)
        if isinstance(item, dict | list):
            left.extend(_below(item))
        elif isinstance(item, str) and ("\0" in item or not _is_whole(item)):
            raise ValueError("a text in it has NUL or half a character")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("a number in it is not finite")
        elif isinstance(item, int) and not -_LARGEST < item < _LARGEST:
            raise ValueError("a number in it has more than 300 digits")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_named(name: str, wanted: str | None) -> bool:
    """Whether a dotted name is the wanted one, or begins with it: `keyword.password` is a `keyword`."""
    return wanted is None or name == wanted or name.startswith(f"{wanted}.")


def sha256(text: str) -> bytes:
    """SHA-256 of a text's UTF-8 bytes, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()
