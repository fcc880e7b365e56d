"""Shared state to read, in PostgreSQL."""

from typing import Any

from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.errors import StateNotFound
from chimera.models.work.state import StateEntry

# A value is left out of lists and histories where it has more bytes of JSON text; in a history, where its result has.
MOST_VALUE_BYTES = 4096

_SQL = statements("state_store")
# More than PostgreSQL holds in a field.
_ALL_BYTES = 2**31 - 1


class StateStore:
    """In the role `app`; only an approving decision changes it.

    Each method is one transaction in the scope of one tenant; all raise StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant_id: str, key: str) -> StateEntry:
        """An entry as it is now, however large.

        Raises:
            StateNotFound: the tenant has no such entry.
        """
        entries = self._entries(tenant_id, {"key": key, "prefix": "", "after": "", "limit": 1, "most": _ALL_BYTES})
        if not entries:
            raise _not_found(tenant_id, key)
        return entries[0]

    def list_entries(self, tenant_id: str, prefix: str, limit: int, after: str = "") -> list[StateEntry]:
        """Entries whose key begins so, as they are now, in the order of the keys' code points; keys above `after`."""
        values = {"key": None, "prefix": prefix, "after": after, "limit": limit, "most": MOST_VALUE_BYTES}
        return self._entries(tenant_id, values)

    def history(self, tenant_id: str, key: str, limit: int, before: int | None = None) -> list[StateEntry]:
        """Versions of an entry, newest first; those below `before`, or from the latest on.

        Raises:
            StateNotFound: the tenant has no such entry.
        """
        values = {"tenant": tenant_id, "key": key, "before": before, "limit": limit, "most": MOST_VALUE_BYTES}
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
