"""Checkpoints, in PostgreSQL."""

from datetime import datetime

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.sealing import first_unsealed
from chimera.models.audit.audit import NO_ENTRIES, ChainHead
from chimera.models.audit.checkpoint import Checkpoint, parse_checkpoint
from chimera.ports import checkpoint_store as port

_SQL = statements("checkpoint_store")


class CheckpointStore(port.CheckpointStore):
    """In the role `seal`."""

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
            first = first_unsealed(connection, tenant_id, older_than_seconds=0.0)
            return first["at"] if first else None

    def mark_kept(self, tenant_id: str, number: int) -> None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            connection.execute(_SQL["mark_kept"], {"tenant": tenant_id, "number": number})
