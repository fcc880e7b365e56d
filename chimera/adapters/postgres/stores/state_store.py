"""Shared state to read, in PostgreSQL."""

from typing import Any

from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.errors import StateNotFound
from chimera.models.work.state import StateEntry
from chimera.ports import state_store as port

_SQL = statements("state_store")
# More than PostgreSQL holds in a field.
_ALL_BYTES = 2**31 - 1


class StateStore(port.StateStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant_id: str, key: str) -> StateEntry:  # noqa: D102  see the port
        entries = self._entries(tenant_id, {"key": key, "prefix": "", "after": "", "limit": 1, "most": _ALL_BYTES})
        if not entries:
            raise _not_found(tenant_id, key)
        return entries[0]

    def list_entries(self, tenant_id: str, prefix: str, limit: int, after: str = "") -> list[StateEntry]:  # noqa: D102
        values = {"key": None, "prefix": prefix, "after": after, "limit": limit, "most": port.MOST_VALUE_BYTES}
        return self._entries(tenant_id, values)

    def history(  # noqa: D102
        self, tenant_id: str, key: str, limit: int, before: int | None = None
    ) -> list[StateEntry]:
        values = {"tenant": tenant_id, "key": key, "before": before, "limit": limit, "most": port.MOST_VALUE_BYTES}
        with self._database.transaction(tenant_id) as connection:
            entries = [_committed(row) for row in connection.execute(_SQL["history"], values)]
        if not entries and before is None:
            raise _not_found(tenant_id, key)
        return entries

    def _entries(self, tenant_id: str, values: dict[str, Any]) -> list[StateEntry]:
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["entries"], values | {"tenant": tenant_id})
            return [StateEntry.model_validate(row) for row in rows]


def _committed(row: DictRow) -> StateEntry:
    outcome = row.pop("outcome")
    return StateEntry.model_validate(row | {"value": outcome and outcome["output"]})


def _not_found(tenant_id: str, key: str) -> StateNotFound:
    return StateNotFound(f"tenant {tenant_id!r} has no shared state {key!r}")
