"""What commands print: the answer to standard output, as a table or one JSON document; all else to standard error."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.text import visible

if TYPE_CHECKING:
    from rich.console import Console

# Rich wraps at 80 columns where there is no terminal; nothing that is piped should be wrapped.
_PIPE_WIDTH = 10_000
_ID = re.compile(r"[a-z]{2}_[0-9a-f]{32}|")
_NUMBER = re.compile(r"-|\d[\d./%]*")


class Format(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[
    Format,
    typer.Option("--output", "-o", case_sensitive=False, help="A table for people, or one JSON document."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]


@cache
def stdout() -> "Console":
    """Where answers for people go; without colour where it is no terminal, or NO_COLOR is set."""
    return _console(stderr=False)


@cache
def stderr() -> "Console":
    """Where everything else for people goes."""
    return _console(stderr=True)


def say(text: str = "") -> None:
    """A line for people that is not the answer."""
    sys.stderr.write(f"{visible(text, lines=True)}\n")
    sys.stderr.flush()


def say_step(what: str, seconds: float) -> None:
    """A line for people about a thing that has started, and the time it took."""
    say(f"  {what:<64} {seconds:5.1f} s")


def tell(text: str) -> None:
    """A line of the answer."""
    sys.stdout.write(f"{visible(text, lines=True)}\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; columns of numbers stand to the right."""
    from rich.table import Table
    from rich.text import Text

    body = [[visible(cell) for cell in row] for row in rows]
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(head):
        cells = [row[place] for row in body]
        ids = any(cells) and all(map(_ID.fullmatch, cells))
        grid.add_column(
            name,
            justify="right" if cells and all(map(_NUMBER.fullmatch, cells)) else "left",
            overflow="fold",
            no_wrap=ids or not stdout().is_terminal,
            # An id that is broken in two cannot be copied.
            min_width=max(map(len, cells)) if ids else None,
        )
    for row in body:
        grid.add_row(*map(Text, row))
    _print(grid)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line; pairs without a value are left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold", no_wrap=not stdout().is_terminal)
    for name, value in pairs:
        if value:
            grid.add_row(name, Text(visible(value, lines=True)))
    _print(grid)


def document(value: Any) -> None:
    """One JSON document, in ASCII: safe on any terminal."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def line(value: Any) -> None:
    """One JSON document in one line, sent at once."""
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")
    sys.stdout.flush()


def documents(values: Iterable[Any]) -> None:
    """One JSON list, written as its items come."""
    before = "[\n"
    for value in values:
        sys.stdout.write(before + json.dumps(value, default=_plain))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def moment(at: datetime | None) -> str:
    """`2026-11-20 11:40:03Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else ""


def age(since: datetime) -> str:
    """How long ago that was: `3m12s`."""
    return duration((datetime.now(UTC) - since).total_seconds())


def duration(seconds: float) -> str:
    """`0.8s`, `12s`, `3m12s`, `4h05m`, `2d03h`: the two largest units."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds)
    for size, unit, small, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // small:02d}{part}"
    return f"{whole}s"


def number(value: float | None) -> str:
    """`0.61`, or `-` for none."""
    return "-" if value is None else f"{value:.2f}"


@contextmanager
def harmless_streams() -> Iterator[None]:
    """Lets no character fail to be written, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    yield


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=None if terminal else _PIPE_WIDTH)


def _print(renderable: Any) -> None:
    console = stdout()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as capture:
        console.print(renderable)
    sys.stdout.write("".join(f"{text.rstrip()}\n" for text in capture.get().splitlines()))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not JSON-compatible")
