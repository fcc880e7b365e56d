"""`--since`: a moment, or how long ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from chimera.errors import InvalidInput

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="From then on: 2026-11-01, 2026-11-01T09:00Z, or 30d, 12h, 15m ago."),
]

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(text: str | None) -> datetime | None:
    """The moment, aware; a time without a zone is UTC.

    Raises:
        InvalidInput: it is none.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidInput(f"--since {text}: it must be like 2026-11-01, 2026-11-01T09:00Z, 30d, 12h or 15m") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
