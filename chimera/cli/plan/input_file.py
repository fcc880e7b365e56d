"""Reading a plan's inputs from a file: all of it or nothing, and a fault is named with its line.

CSV and JSON Lines become `{"rows": [...]}`, one object a row; a JSON file is the whole inputs object.
"""

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from chimera.errors import InvalidInput

STDIN = "-"
MAX_DEPTH = 100

_UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_inputs(source: str, max_bytes: int) -> dict[str, Any]:
    """The inputs in a file, or for `-` in the JSON Lines of standard input.

    Args:
        source: a path that ends with .csv, .jsonl, .ndjson or .json; or `-`.
        max_bytes: files above this size are not read.

    Raises:
        InvalidInput: there is nothing to read, or it is malformed; the message names file and line.
    """
    if source == STDIN:
        return {"rows": read_jsonl("standard input", _decoded("standard input", _read_stdin(max_bytes)))}
    path = Path(source)
    readers = {".csv": _csv_inputs, ".jsonl": _jsonl_inputs, ".ndjson": _jsonl_inputs, ".json": read_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(
            f"{path.name}: its name must end with {', '.join(readers)}, which says what is in it; "
            "or give - for JSON Lines from standard input"
        )
    return reader(path.name, _decoded(path.name, _read_file(path, max_bytes)))


def read_csv(name: str, text: str) -> list[dict[str, str]]:
    """The rows of a CSV text with a header; every value is text.

    Raises:
        InvalidInput: a row has not as many fields as the header, a quote is not closed, ...
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{name}, line {line}: a NUL character, which no CSV has; is the file UTF-16?")
    records = _csv_records(name, text)
    _, header = next(records, (0, []))
    if header:
        _check_header(name, header)
    rows = []
    for line, record in records:
        if len(record) != len(header):
            fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
            raise InvalidInput(f"{name}, line {line}: {fields}, and the header has {len(header)}")
        rows.append(dict(zip(header, record, strict=True)))
    return rows


def read_jsonl(name: str, text: str) -> list[dict[str, Any]]:
    """The objects of a JSON Lines text, one a line; blank lines are skipped.

    Raises:
        InvalidInput: a line is not one JSON object.
    """
    rows = []
    # Not splitlines(): a JSON text may hold U+2028 and its like.
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip(" \t\r"):
            rows.append(_object(f"{name}, line {line}", content, one_line=True))
    return rows


def read_json(name: str, text: str) -> dict[str, Any]:
    """The object of a JSON text.

    Raises:
        InvalidInput: the text is not one JSON object.
    """
    return _object(name, text, one_line=False)


def rename_columns(inputs: dict[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """The inputs with columns of their rows under the names that `NAME=COLUMN` options give them.

    What had such a name before is left out. A row without the column is as it was.

    Raises:
        InvalidInput: an option has no `=`, names come twice, there are no rows, or none of them has the column.
    """
    names: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not name or not equals or not column:
            raise InvalidInput(f"--column {pair}: it must be NAME=COLUMN, as in text=body")
        if name in names.values() or column in names:
            raise InvalidInput(f"--column {pair}: {name if name in names.values() else column} is named twice")
        names[column] = name
    if not names:
        return inputs
    rows = inputs.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput("--column: the file's inputs have no rows, which is what columns are of")
    there = dict.fromkeys(column for row in rows for column in row)
    if rows and (missing := [column for column in names if column not in there]):
        raise InvalidInput(f"--column {names[missing[0]]}={missing[0]}: no such column; there are {', '.join(there)}")
    return inputs | {"rows": [_renamed(row, names) for row in rows]}


def _renamed(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    given = {names[column] for column in row if column in names}
    return {names.get(column, column): value for column, value in row.items() if column in names or column not in given}


def parse_set(pairs: Sequence[str]) -> dict[str, Any]:
    """The inputs in `key=value` options: a value is JSON if it can be read as such, else text.

    Raises:
        InvalidInput: an option has no `=`, or a key comes twice.
    """
    inputs: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise InvalidInput(f"--set {pair}: it must be key=value")
        if key in inputs:
            raise InvalidInput(f"--set {key}: given twice")
        try:
            inputs[key] = _loads(text)
        except (ValueError, RecursionError):
            inputs[key] = text
    return inputs


def _csv_inputs(name: str, text: str) -> dict[str, Any]:
    return {"rows": read_csv(name, text)}


def _jsonl_inputs(name: str, text: str) -> dict[str, Any]:
    return {"rows": read_jsonl(name, text)}


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise InvalidInput(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InvalidInput(f"{path}: is a folder, not a file") from None
    except OSError as exc:
        raise InvalidInput(f"{path}: cannot be read: {exc.strerror}") from exc
    return _limited(path.name, content, max_bytes)


def _read_stdin(max_bytes: int) -> bytes:
    return _limited("standard input", sys.stdin.buffer.read(max_bytes + 1), max_bytes)


def _limited(name: str, content: bytes, max_bytes: int) -> bytes:
    if len(content) > max_bytes:
        raise InvalidInput(
            f"{name}: over {max_bytes} bytes, and no more are taken (CHIMERA_MAX_INPUTS_BYTES); split it"
        )
    return content


def _decoded(name: str, content: bytes) -> str:
    """The text in UTF-8 bytes, without the byte order mark that some programs put before it."""
    if other := _OTHER_BOMS.get(content[:2]):
        raise InvalidInput(f"{name}, line 1, byte 1: the file is {other}, and UTF-8 is expected; save it as that")
    try:
        return content.removeprefix(_UTF8_BOM).decode()
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        byte = exc.start - (exc.object.rfind(b"\n", 0, exc.start) + 1) + 1
        raise InvalidInput(
            f"{name}, line {line}, byte {byte} of the line (0x{exc.object[exc.start]:02x}): not UTF-8, which is "
            "expected; save the file as UTF-8"
        ) from None


def _csv_records(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """The records with the line that each begins on; blank lines are none."""
    # newline="" leaves line breaks within quotes as they are.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    with _any_field_size():
        try:
            for record in reader:
                if record:
                    yield begins, record
                begins = reader.line_num + 1
        except csv.Error as exc:
            if "unexpected end of data" in str(exc):
                raise InvalidInput(f"{name}, line {begins}: a quote that opens here is never closed") from None
            raise InvalidInput(f"{name}, line {reader.line_num}: {exc}") from None


@contextmanager
def _any_field_size() -> Iterator[None]:
    """Without the csv module's own limit of 131,072 characters a field; the file's size is limited already."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_header(name: str, header: list[str]) -> None:
    for number, column in enumerate(header, start=1):
        if not column.strip():
            raise InvalidInput(f"{name}, line 1: column {number} of the header has no name")
        if column in header[: number - 1]:
            raise InvalidInput(f"{name}, line 1: the header has the column {column!r} twice")


def _object(where: str, text: str, *, one_line: bool) -> dict[str, Any]:
    try:
        value = _loads(text)
    except json.JSONDecodeError as exc:
        place = f"{where}, column {exc.colno}" if one_line else f"{where}, line {exc.lineno}, column {exc.colno}"
        raise InvalidInput(f"{place}: not JSON: {exc.msg}") from None
    except RecursionError:
        raise InvalidInput(f"{where}: nested more than {MAX_DEPTH} deep") from None
    except ValueError as exc:
        raise InvalidInput(f"{where}: {exc}") from None
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}.get(type(value), "a number")
        what = "each line must be" if one_line else "the inputs must be"
        raise InvalidInput(f"{where}: {kind}, and {what} a JSON object")
    return value


def _loads(text: str) -> Any:
    """As json.loads, but only what JSON has, and no more than it can carry on.

    Raises:
        ValueError: it is not JSON; or a key comes twice, a number is not finite, a text holds half a character.
        RecursionError: it is nested too deep.
    """
    value = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_whole,
        object_pairs_hook=_unique,
    )
    _check(value, MAX_DEPTH)
    return value


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise RecursionError
    if isinstance(value, str):
        _whole_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _whole_text(key)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)


def _whole_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        half = ord(text[exc.start])
        raise ValueError(f"a text holds \\u{half:04x}, half of a surrogate pair, which is no character") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON: a number must be finite")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:40]} is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > 1000:
        raise ValueError(f"a number of {len(digits)} digits is too large")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r} comes twice")
            seen.add(key)
    return found
