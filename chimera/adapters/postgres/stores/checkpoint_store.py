"""Checkpoints, in PostgreSQL."""

from datetime import datetime

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.errors import AuditUnavailable
from chimera.models.audit.audit import NO_ENTRIES, ChainHead
from chimera.models.audit.checkpoint import Checkpoint, parse_checkpoint
from chimera.ports import checkpoint_store as port

_SQL = statements("checkpoint_store")


class CheckpointStore(port.CheckpointStore):
    """In the role `judge`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, interval_seconds: float, key_id: str | None) -> list[str]:  # noqa: D102  see the port
        with self._database.transaction() as connection:
            rows = connection.execute(_SQL["due"], {"seconds": interval_seconds, "key": key_id})
            return [row["tenant_id"] for row in rows]

    def numbers(self) -> dict[str, int]:  # noqa: D102
        with self._database.transaction() as connection:
            return {row["tenant_id"]: row["number"] for row in connection.execute(_SQL["numbers"])}

    def head(self, tenant_id: str) -> ChainHead:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["head"], {"tenant": tenant_id}).fetchone()
            return ChainHead.model_validate(row) if row else NO_ENTRIES

    def entry_hash(self, tenant_id: str, seq: int) -> bytes | None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["entry"], {"tenant": tenant_id, "seq": seq}).fetchone()
            return row["hash"] if row else None

    def last(self, tenant_id: str) -> Checkpoint | None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["last"], {"tenant": tenant_id}).fetchone()
            return parse_checkpoint(row["body"]) if row else None

    def after(self, tenant_id: str, number: int) -> list[Checkpoint]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["after"], {"tenant": tenant_id, "number": number})
            return [parse_checkpoint(row["body"]) for row in rows]

    def add(self, checkpoint: Checkpoint) -> bool:  # noqa: D102
        values = {
            "tenant": checkpoint.tenant_id,
            "number": checkpoint.number,
            "seq": checkpoint.seq,
            "hash": bytes.fromhex(checkpoint.hash),
            "key": checkpoint.key_id,
            "body": checkpoint.text,
        }
        with self._database.transaction(checkpoint.tenant_id) as connection:
            return connection.execute(_SQL["add"], values).fetchone() is not None

    def unsealed_since(self, tenant_id: str) -> datetime | None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["unsealed"], {"tenant": tenant_id, "seconds": 0.0}).fetchone()
            return row["at"] if row else None

    def mark_kept(self, tenant_id: str, number: int) -> None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            connection.execute(_SQL["mark_kept"], {"tenant": tenant_id, "number": number})


class Sealing:
    """What a deciding transaction asks: whether checkpoints seal the audit, so that nothing is decided unaudited."""

    def __init__(self, limit_seconds: float, places: str) -> None:
        """How long an entry may wait to be sealed; and the places, for messages."""
        self._limit_seconds = limit_seconds
        self._places = places

    def refuse_unsealed(self, connection: psycopg.Connection[DictRow], tenant_id: str) -> None:
        """Returns where the tenant's entries are sealed, or not late.

        Raises:
            AuditUnavailable: one is; the message says since when, and what to do.
        """
        values = {"tenant": tenant_id, "seconds": self._limit_seconds}
        row = connection.execute(_SQL["unsealed"], values).fetchone()
        if row is not None:
            raise AuditUnavailable(
                f"nothing is decided for tenant {tenant_id!r}: its audit is not sealed since {row['at'].isoformat()} "
                f"(entry {row['seq']}; {self._limit_seconds:g} s at most), because no checkpoint reaches "
                f"{self._places}. `chimera doctor` says why; once that is mended, what waits is decided by itself"
            )
