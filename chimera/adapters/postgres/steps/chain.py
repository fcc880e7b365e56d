"""Appending to a tenant's audit chain, inside the transaction that does what the entries say."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import columns, statements
from chimera.adapters.postgres.steps.acting import with_real_user
from chimera.errors import UnknownTenant
from chimera.models.audit.audit import AuditEntry, AuditEvent, chain
from chimera.models.audit.entry_filter import EntryFilter

_SQL = statements("chain")


class ChainAppender:
    """The locked end of a tenant's chain. Take it last: no other transaction of the tenant records meanwhile."""

    def __init__(self, connection: psycopg.Connection[DictRow], tenant_id: str) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        head = connection.execute(_SQL["lock_head"], {"tenant": tenant_id})
        time = connection.execute(_SQL["time"])
        row, now = head.fetchone(), time.fetchone()
        if row is None or now is None:
            raise UnknownTenant.named(tenant_id)
        self._seq: int = row["seq"]
        self._hash: bytes = row["hash"]
        # The time of everything that is recorded under this lock.
        self.at: datetime = now["at"]

    @property
    def next_seq(self) -> int:
        """The sequence of the next entry."""
        return self._seq + 1

    def append(self, events: Sequence[AuditEvent]) -> list[AuditEntry]:
        """Adds entries to the chain, in order."""
        events = with_real_user(self._connection, events)
        entries = chain(self._tenant_id, self._seq, self._hash, self.at, events)
        if entries:
            rows = [(e.seq, e.kind, e.actor, e.plan_id, e.task_id, e.body, e.payload, e.hash) for e in entries]
            arrays = columns(rows, "seqs kinds actors plans tasks bodies payloads hashes")
            self._connection.execute(_SQL["append"], {"tenant": self._tenant_id, "at": self.at, **arrays})
            # The head's row moves with them: a trigger does it, so that no statement can add to the chain without.
            self._seq, self._hash = entries[-1].seq, entries[-1].hash
        return entries


def filter_values(tenant_id: str, wanted: EntryFilter) -> dict[str, Any]:
    """The parameters of statements that look for entries."""
    values = wanted.model_dump(mode="python", exclude={"plan_id", "task_id", "kinds"})
    values |= {"kinds": list(map(str, wanted.kinds)) or None}
    ids = {"plan": wanted.plan_id, "task": wanted.task_id}
    return values | ids | {"tenant": tenant_id, "rule_text": wanted.rule_text}


def entry(row: dict[str, Any]) -> AuditEntry:
    """An entry as it was read."""
    return AuditEntry.model_validate(row)
