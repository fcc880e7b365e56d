"""Repairing a tenant's audit, in PostgreSQL."""

from collections.abc import Iterator

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.acting import with_real_user
from chimera.errors import AuditContradicted, UnknownTenant
from chimera.models.audit.audit import ChainHead, chain
from chimera.models.audit.checkpoint import CLOCK_SKEW
from chimera.models.audit.proof import ChainWalk, EntryRow, Fault
from chimera.models.audit.repair import Repaired, Repairs, WrongRow, repaired_event

_SQL = statements("repair_store")
# Rows that are read at a time.
_ROWS = 2_000

Connection = psycopg.Connection[DictRow]


class RepairStore:
    """In the role `owner`: who could write to the tables anyhow, and here says what was wrong with them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def repair(self, tenant_id: str, actor: str, reason: str) -> Repaired:
        """Puts on record which entries are wrong, and has the chain go on behind the last that is there.

        Nothing is deleted or rewritten. Where all is right nothing is recorded.

        Raises:
            UnknownTenant: there is no such tenant.
            AuditContradicted: an entry is missing, which no record mends.
            StoreUnavailable: PostgreSQL does not answer; nothing is repaired.
        """
        scope = {"tenant": tenant_id}
        with self._database.transaction(tenant_id) as connection:
            head = connection.execute(_SQL["lock_head"], scope).fetchone()
            if head is None:
                raise UnknownTenant.named(tenant_id)
            known = Repairs(map(_row, connection.execute(_SQL["repairs"], scope)))
            wrong: list[WrongRow] = []

            def found(row: EntryRow, fault: Fault) -> bool:
                if not known.names(row, fault):
                    wrong.append(WrongRow(seq=row.seq, sha256=row.digest(), what=fault.what))
                return True

            walk = ChainWalk(tenant_id, until=head["now"] + CLOCK_SKEW, known=found)
            for rows in _entries(connection, tenant_id):
                if (fault := walk.take(rows)) is not None:
                    raise AuditContradicted(
                        f"entry {fault.seq} of {tenant_id}: {fault.what}. "
                        "What is missing no record mends: restore a backup"
                    )
            said = ChainHead(seq=head["seq"], hash=head["hash"])
            repaired = Repaired(rows=tuple(wrong), found=said, ends=ChainHead(seq=walk.seq, hash=walk.hash))
            if not repaired.nothing:
                at = max(head["now"], walk.at or head["now"])
                events = with_real_user(connection, [repaired_event(repaired, actor, reason)])
                [entry] = chain(tenant_id, walk.seq, walk.hash, at, events)
                values = entry.model_dump(include={"seq", "at", "kind", "actor", "body", "payload", "hash"})
                connection.execute(_SQL["append"], scope | values)
        return repaired


def _entries(connection: Connection, tenant_id: str) -> Iterator[list[EntryRow]]:
    after = 0
    while rows := [
        _row(row) for row in connection.execute(_SQL["entries"], {"tenant": tenant_id, "after": after, "limit": _ROWS})
    ]:
        yield rows
        after = rows[-1].seq


def _row(row: DictRow) -> EntryRow:
    return EntryRow(**row)
