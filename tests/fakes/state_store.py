"""Shared state to read, in memory."""

from chimera.errors import StateNotFound
from chimera.models.record import canonical_json
from chimera.models.work.state import StateEntry
from chimera.ports import state_store as port
from tests.fakes.database import FakeDatabase


class FakeStateStore(port.StateStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def get(self, tenant_id: str, key: str) -> StateEntry:
        entry = self._database.opened().shared(tenant_id, key)
        if entry is None:
            raise StateNotFound
        return entry

    def list_entries(self, tenant_id: str, prefix: str, limit: int, after: str = "") -> list[StateEntry]:
        latest = [entries[-1] for (owner, _), entries in self._database.opened().state.items() if owner == tenant_id]
        found = [entry for entry in latest if entry.key.startswith(prefix) and entry.key > after]
        found.sort(key=lambda entry: entry.key)
        return [_listed(entry, len(canonical_json(entry.value))) for entry in found[:limit]]

    def history(self, tenant_id: str, key: str, limit: int, before: int | None = None) -> list[StateEntry]:
        entries = self._database.opened().state.get((tenant_id, key), [])
        found = [entry for entry in reversed(entries) if before is None or entry.version < before]
        if not found and before is None:
            raise StateNotFound
        return [_listed(entry, entry.result_size) for entry in found[:limit]]


def _listed(entry: StateEntry, size: int) -> StateEntry:
    omitted = size > port.MOST_VALUE_BYTES
    return entry.model_copy(update={"value": None, "value_omitted": True}) if omitted else entry
