"""Appending to a tenant's audit chain, inside the transaction that does what the entries say."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import columns, statements
from chimera.adapters.postgres.steps.acting import with_real_user
from chimera.errors import UnknownTenant
from chimera.models.audit.audit import AuditEntry, AuditEvent
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.record import canonical_json

_SQL = statements("chain")


class Appended(NamedTuple):
    """An entry of the chain."""

    seq: int
    at: datetime


def lock_head(connection: psycopg.Connection[DictRow], tenant_id: str) -> Appended:
    """Locks the end of a tenant's chain for the rest of the transaction: no other of the tenant records meanwhile.

    For what has to know before it records: where that begins, and the time of all that this transaction records.

    Raises:
        UnknownTenant: there is no such tenant.
    """
    row = connection.execute(_SQL["lock_head"]).fetchone()
    if row is None or row["seq"] is None:
        raise UnknownTenant.named(tenant_id)
    return Appended(row["seq"], row["at"])


def append(connection: psycopg.Connection[DictRow], tenant_id: str, events: Sequence[AuditEvent]) -> list[Appended]:
    """Adds entries to a tenant's chain, in order, and locks its end for the rest of the transaction.

    Raises:
        UnknownTenant: there is no such tenant.
    """
    if not events:
        return []
    told = with_real_user(connection, events)
    rows = [(e.kind.value, e.actor, e.plan_id, e.task_id, canonical_json(e.facts)) for e in told]
    row = connection.execute(_SQL["append"], columns(rows, "kinds actors plans tasks payloads")).fetchone()
    if row is None or row["before"] is None:
        raise UnknownTenant.named(tenant_id)
    return [Appended(row["before"] + n, row["moment"]) for n in range(1, len(events) + 1)]


def filter_values(tenant_id: str, wanted: EntryFilter) -> dict[str, Any]:
    """The parameters of statements that look for entries."""
    values = wanted.model_dump(mode="python", exclude={"plan_id", "task_id", "kinds"})
    values |= {"kinds": list(map(str, wanted.kinds)) or None}
    ids = {"plan": wanted.plan_id, "task": wanted.task_id}
    return values | ids | {"tenant": tenant_id, "rule_text": wanted.rule_text}


def entry(row: dict[str, Any]) -> AuditEntry:
    """An entry as it was read."""
    return AuditEntry.model_validate(row)
