"""Who read the audit."""

from collections.abc import Mapping
from typing import Any, Protocol


class AccessLog(Protocol):
    """Puts reading on record. Attempts on what a tenant does not have are recorded by the stores that refuse them."""

    def note_read(self, tenant_id: str, actor: str, facts: Mapping[str, Any]) -> None:
        """Records that the tenant's audit was read, as `audit.read`: to be called before what was read is shown.

        Args:
            tenant_id: whose audit.
            actor: who read.
            facts: the command, what it was asked for, and the number of rows.

        Raises:
            UnknownTenant: there is no such tenant.
            StoreUnavailable: PostgreSQL does not answer.
        """
        ...
