"""The audit to verify, in PostgreSQL: one snapshot, read by cursors of the server."""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow, tuple_row
from pydantic import ValidationError

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import filter_values
from chimera.errors import AuditContradicted
from chimera.models.audit.audit import NO_ENTRIES, ChainHead
from chimera.models.audit.checkpoint import Checkpoint, parse_checkpoint
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.proof import DecisionRow, EntryRow, Fault
from chimera.models.ids import IdKind, format_id
from chimera.ports import audit_log as port

_SQL = statements("audit_log")
# Rows that are fetched at a time.
_ROWS = 2_000


class AuditLog(port.AuditLog):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def view(self, tenant_id: str) -> Iterator["AuditView"]:  # noqa: D102  see the port
        with self._database.snapshot(tenant_id) as connection:
            yield AuditView(connection, tenant_id)


class AuditView(port.AuditView):
    """One snapshot."""

    def __init__(self, connection: psycopg.Connection[DictRow], tenant_id: str) -> None:
        self._connection = connection
        self._tenant = {"tenant": tenant_id}

    def head(self) -> ChainHead:  # noqa: D102  see the port
        return _head(self._connection.execute(_SQL["head"], self._tenant).fetchone())

    def entry_before(self, since: datetime) -> ChainHead:  # noqa: D102
        return _head(self._connection.execute(_SQL["entry_before"], self._tenant | {"since": since}).fetchone())

    def entries(self, after_seq: int) -> Iterator[Sequence[EntryRow]]:  # noqa: D102
        return self._rows("entries", self._tenant | {"after": after_seq})

    def matching(self, wanted: EntryFilter) -> Iterator[Sequence[EntryRow]]:  # noqa: D102
        return self._rows("matching", filter_values(self._tenant["tenant"], wanted))

    def _rows(self, name: str, values: dict[str, Any]) -> Iterator[Sequence[EntryRow]]:
        with self._connection.cursor(f"audit_{name}", row_factory=tuple_row) as cursor:
            cursor.execute(_SQL[name], values, binary=True)
            while rows := cursor.fetchmany(_ROWS):
                # Plain tuples of the very columns: a million of them, and nobody asks for them by name.
                yield rows  # type: ignore[misc]

    def checkpoints(self) -> Iterator[Checkpoint]:  # noqa: D102
        for row in self._read("checkpoints"):
            try:
                yield parse_checkpoint(row["body"])
            except ValidationError:
                raise AuditContradicted("a checkpoint in the database is none: its row was changed") from None

    def doubtful(self, after_seq: int) -> Generator[DecisionRow]:  # noqa: D102
        # Streamed: a cursor of the server is planned for its first rows, and here the last one counts.
        with self._connection.cursor() as cursor:
            for row in cursor.stream(_SQL["doubtful"], self._tenant | {"after": after_seq}):
                yield DecisionRow.model_validate(row)

    def strays(self) -> Generator[Fault]:  # noqa: D102
        count = self._connection.execute(_SQL["as_many"], self._tenant).fetchone()
        for row in () if count and count["same"] else self._read("stray_commits"):
            yield Fault(
                table="commit", id=format_id(IdKind.TASK, row["task_id"]), what="no approving decision is about it"
            )
        for row in self._read("states"):
            if what := _state_fault(row):
                yield Fault(table="state", id=row["key"], what=what)
        for row in self._read("lost_states"):
            yield Fault(table="state", id=row["key"], what="it was committed, and is missing")

    def _read(self, name: str, **values: Any) -> Iterator[DictRow]:
        with self._connection.cursor(f"audit_{name}") as cursor:
            cursor.itersize = _ROWS
            yield from cursor.execute(_SQL[name], self._tenant | values)


def _state_fault(row: DictRow) -> str | None:
    if (row["state_key"], row["state_version"]) != (row["key"], row["version"]) or row["latest"] != row["version"]:
        return f"it is not at the version that was last committed, which is {row['latest']}"
    if row["outcome"] is None:
        return None  # what its decision says of the result is looked at there
    outcome = json.loads(row["outcome"])
    if row["value"] is None or not isinstance(outcome, dict) or json.loads(row["value"]) != outcome.get("output"):
        return "its value is not the one that was committed"
    return None


def _head(row: DictRow | None) -> ChainHead:
    return ChainHead.model_validate(row) if row else NO_ENTRIES
