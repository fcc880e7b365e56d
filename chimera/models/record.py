"""What every record shares, and the one JSON text that hashes are taken of."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

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


def is_named(name: str, wanted: str | None) -> bool:
    """Whether a dotted name is the wanted one, or begins with it: `keyword.password` is a `keyword`."""
    return wanted is None or name == wanted or name.startswith(f"{wanted}.")


def sha256(text: str) -> bytes:
    """SHA-256 of a text's UTF-8 bytes, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()
