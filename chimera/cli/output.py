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
from chimera.models.ids import short_id

if TYPE_CHECKING:
    from rich.console import Console

# Rich wraps at 80 columns where there is no terminal; nothing that is piped should be wrapped.
_PIPE_WIDTH = 10_000
_ID = re.compile(r"[a-z]{2}_[0-9a-f]{12,32}|")
_WHOLE_ID = re.compile(r"\b[a-z]{2}_[0-9a-f]{32}\b")
# Columns between two columns of a table.
_GAP = 2
# A longer word may be broken where the terminal is narrow.
_WORD_WIDTH = 12
_NUMBER = re.compile(r"-|\d[\d./%]*")


class Format(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[
    Format,
    typer.Option("--output", "-o", case_sensitive=False, help="A table for people, or one JSON document."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most this many.")]


@cache
def stdout() -> "Console":
    """Where answers for people go; without colour where it is no terminal, or NO_COLOR is set."""
    return _console(stderr=False)


@cache
def stderr() -> "Console":
    """Where everything else for people goes."""
    return _console(stderr=True)


def say(text: str = "") -> None:
    """A line for people that is not the answer; comes after what was told of it so far, wherever both go."""
    sys.stdout.flush()
    sys.stderr.write(f"{visible(text, lines=True)}\n")
    sys.stderr.flush()


def say_step(what: str, seconds: float) -> None:
    """A line for people about a thing that has started, and the time it took."""
    say(f"  {what:<64} {seconds:5.1f} s")


def tell(text: str = "") -> None:
    """A line of the answer."""
    sys.stdout.write(f"{visible(text, lines=True)}\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; columns of numbers stand to the right.

    On a terminal ids are short, and where the columns do not fit side by side each row is a block of lines, a value a
    line. Where there is no terminal ids are whole, and a row is a line.
    """
    from rich.table import Table
    from rich.text import Text

    body = [[shown_ids(visible(cell)) for cell in row] for row in rows]
    columns = [[row[place] for row in body] for place in range(len(head))]
    widths = [_least_width(name, cells) for name, cells in zip(head, columns, strict=True)]
    if sum(widths) + _GAP * (len(head) - 1) > stdout().width:
        _blocks(head, body)
        return
    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name, cells, width in zip(head, columns, widths, strict=True):
        grid.add_column(
            name,
            justify="right" if cells and all(map(_NUMBER.fullmatch, cells)) else "left",
            overflow="fold",
            no_wrap=_is_ids(cells) or not stdout().is_terminal,
            min_width=width if stdout().is_terminal else None,
        )
    for row in body:
        grid.add_row(*map(Text, row))
    _print(grid)


def shown_ids(text: str) -> str:
    """The text with its ids as tables show them: short on a terminal, whole elsewhere."""
    return _WHOLE_ID.sub(lambda found: short_id(found[0]), text) if stdout().is_terminal else text


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line; pairs without a value are left out.

    Ids are whole, so that each can be seen somewhere, but for those that a narrow terminal would break in two.
    """
    from rich.table import Table
    from rich.text import Text

    shown = [(name, visible(value, lines=True)) for name, value in pairs if value]
    room = stdout().width - max((len(name) for name, _ in shown), default=0) - _GAP
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold", no_wrap=not stdout().is_terminal)
    for name, value in shown:
        fits = max(map(len, value.splitlines()), default=0) <= room
        grid.add_row(name, Text(value if fits else shown_ids(value)))
    _print(grid)


def document(value: Any) -> None:
    """One JSON document, in ASCII: safe on any terminal."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _is_ids(cells: Sequence[str]) -> bool:
    return any(cells) and all(map(_ID.fullmatch, cells))


def _least_width(name: str, cells: Sequence[str]) -> int:
    """The least width at which a column can be read: ids and numbers are never broken, words hardly ever."""
    whole = max(map(len, cells), default=0)
    if _is_ids(cells) or all(map(_NUMBER.fullmatch, cells)):
        return max(len(name), whole)
    words = (len(word) for cell in cells for word in cell.split())
    return max(len(name), min(_WORD_WIDTH, max(words, default=0)))


def _blocks(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The rows of a table below one another, each as names and values."""
    for number, row in enumerate(rows):
        if number:
            tell()
        facts(zip(map(str.lower, head), row, strict=True))


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
