"""`--since` and `--until`: a moment, or how long ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from chimera.errors import InvalidInput

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="From then on: 2026-11-01, 2026-11-01T09:00Z, or 30d, 12h, 15m ago."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Before then, which is given like --since.")]

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_FIRST_YEAR, _LAST_YEAR = 1971, 9000
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(text: str | None, option: str = "--since") -> datetime | None:
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
        if not _FIRST_YEAR <= found.year < _LAST_YEAR:
            raise OverflowError  # noqa: TRY301  nothing was recorded then, and nothing will be
    except (ValueError, OverflowError):
        raise InvalidInput(f"{option} {text}: it must be like 2026-11-01, 2026-11-01T09:00Z, 30d, 12h or 15m") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Both ends of a period.

    Raises:
        InvalidInput: one is no moment, or the period ends before it begins.
    """
    start, end = moment_of(since), moment_of(until, "--until")
    if start is not None and end is not None and end <= start:
        raise InvalidInput(f"--until {until}: it must be after --since {since}")
    return start, end
