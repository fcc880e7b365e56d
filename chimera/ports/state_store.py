"""Shared state to read: the store in the role `app`. Only an approving decision changes it."""

from typing import Protocol

from chimera.models.work.state import StateEntry

# A value is left out of lists and histories where it has more bytes of JSON text; in a history, where its result has.
MOST_VALUE_BYTES = 4096


class StateStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def get(self, tenant_id: str, key: str) -> StateEntry:
        """An entry as it is now, however large.

        Raises:
            StateNotFound: the tenant has no such entry.
        """
        ...

    def list_entries(self, tenant_id: str, prefix: str, limit: int, after: str = "") -> list[StateEntry]:
        """Entries whose key begins so, as they are now, in the order of the keys' code points; keys above `after`."""
        ...

    def history(self, tenant_id: str, key: str, limit: int, before: int | None = None) -> list[StateEntry]:
        """Versions of an entry, newest first; those below `before`, or from the latest on.

        Raises:
            StateNotFound: the tenant has no such entry.
        """
        ...
