"""Exports in files: JSON lines, or CSV with the same records; docs/audit.md describes both."""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from pydantic import TypeAdapter, ValidationError

from chimera.adapters.files.durable import written
from chimera.errors import InvalidInput
from chimera.models.audit.checkpoint import Checkpoint, parse_checkpoint
from chimera.models.audit.export import CheckpointRecord, EntryRecord, ExportHeader, ExportRecord, HeaderRecord
from chimera.models.audit.proof import EntryRow
from chimera.models.record import canonical_json
from chimera.models.text.csv_cells import cell_text, safe_cell
from chimera.models.work.signature import describe
from chimera.ports import audit_export as port

COLUMNS = ("record", "seq", "at", "kind", "actor", "plan_id", "task_id", "payload", "body", "hash")
_ROWS = 2_000
_RECORD: TypeAdapter[ExportRecord] = TypeAdapter(ExportRecord)
# A record's text may be as long as a person's note or a thousand reasons.
_FIELD_BYTES = 64 * 1024 * 1024


def write_export(
    path: Path, header: ExportHeader, items: Iterable[EntryRow | Checkpoint], *, as_csv: bool = False
) -> int:
    """Writes an export, mode 0600, whole or not at all; returns how many entries it has.

    Args:
        path: where; `-` is standard output.
        header: its first record.
        items: entries in order, each followed by the checkpoints that seal it.
        as_csv: CSV in place of JSON lines.

    Raises:
        InvalidInput: the file cannot be written.
        BrokenPipeError: nobody reads standard output any more.
    """
    try:
        with nullcontext(sys.stdout) if str(path) == "-" else written(path) as file:
            return _write(file, header, items, as_csv=as_csv)
    except BrokenPipeError:
        raise  # the reader of standard output has seen enough
    except OSError as exc:
        raise InvalidInput(f"{path} cannot be written ({exc.strerror}): name another file") from exc


class AuditExport(port.AuditExport):
    """Of either form; every record is looked at before anything is made of it: whoever wrote it may mean ill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def header(self) -> ExportHeader:  # noqa: D102  see the port
        first = next(self._records(), None)
        if not isinstance(first, HeaderRecord):
            raise InvalidInput(f"{self._path} does not begin as an export does")
        try:
            return ExportHeader.model_validate_json(first.payload)
        except ValidationError as exc:
            raise InvalidInput(f"{self._path}: its header is not that of an export: {describe(exc, 1)}") from None

    def entries(self) -> Iterator[Sequence[EntryRow]]:  # noqa: D102
        rows = (_row(record) for record in self._records() if isinstance(record, EntryRecord))
        while chunk := list(islice(rows, _ROWS)):
            yield chunk

    def checkpoints(self) -> Iterator[Checkpoint]:  # noqa: D102
        for record in self._records():
            if isinstance(record, CheckpointRecord):
                try:
                    yield parse_checkpoint(record.payload)
                except ValidationError as exc:
                    text = record.payload[:80]
                    raise InvalidInput(f"{self._path}: this is no checkpoint: {text} ({describe(exc, 1)})") from None

    def _records(self) -> Iterator[ExportRecord]:
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                is_json = file.read(1) == "{"
                file.seek(0)
                yield from self._of_lines(file) if is_json else self._of_table(file)
        except (OSError, UnicodeDecodeError, csv.Error) as exc:
            raise InvalidInput(f"{self._path} cannot be read as an export: {exc}") from None

    def _of_lines(self, file: TextIO) -> Iterator[ExportRecord]:
        for number, line in enumerate(file, start=1):
            try:
                record = _RECORD.validate_json(line)
            except ValidationError as exc:
                raise self._no_record(number, exc) from None
            yield record

    def _of_table(self, file: TextIO) -> Iterator[ExportRecord]:
        csv.field_size_limit(_FIELD_BYTES)
        table = csv.DictReader(file, strict=True)
        for row in table:
            try:
                record = _RECORD.validate_strings({str(name): cell_text(value) for name, value in row.items() if value})
            except ValidationError as exc:
                raise self._no_record(table.line_num, exc) from None
            yield record

    def _no_record(self, line: int, exc: ValidationError) -> InvalidInput:
        return InvalidInput(f"{self._path}, line {line}: this is no record of an export: {describe(exc, 1)}")


def _row(record: EntryRecord) -> EntryRow:
    return EntryRow(
        seq=record.seq,
        at=record.at,
        kind=record.kind,
        actor=record.actor,
        plan_id=bytes.fromhex(record.plan_id) if record.plan_id else None,
        task_id=bytes.fromhex(record.task_id) if record.task_id else None,
        body=record.body,
        payload=record.payload,
        hash=bytes.fromhex(record.hash),
    )


def _write(file: TextIO, header: ExportHeader, items: Iterable[EntryRow | Checkpoint], *, as_csv: bool) -> int:
    table = csv.DictWriter(file, COLUMNS) if as_csv else None
    if table:
        table.writeheader()
    written = 0

    def put(record: dict[str, Any]) -> None:
        if table:
            cells = {name: safe_cell(value) if isinstance(value, str) else value for name, value in record.items()}
            table.writerow(cells)
        else:
            file.write(canonical_json(record) + "\n")

    put({"record": "header", "payload": canonical_json(_header(header))})
    for item in items:
        if isinstance(item, Checkpoint):
            put({"record": "checkpoint", "seq": item.seq, "payload": item.text})
        else:
            put(_entry(item))
            written += 1
    return written


def _header(header: ExportHeader) -> dict[str, Any]:
    # Without a filter as it was before there were any: older verifiers read it.
    return header.model_dump(mode="json", exclude=None if header.filter else {"filter"})


def _entry(row: EntryRow) -> dict[str, Any]:
    return {
        "record": "entry",
        "seq": row.seq,
        "at": row.at.astimezone(UTC).isoformat(),
        "kind": row.kind,
        "actor": row.actor,
        "plan_id": row.plan_id and row.plan_id.hex(),
        "task_id": row.task_id and row.task_id.hex(),
        "payload": row.payload,
        "body": row.body,
        "hash": row.hash.hex(),
    }
