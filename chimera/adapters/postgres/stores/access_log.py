"""Who read the audit, in PostgreSQL."""

from collections.abc import Mapping
from typing import Any

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.chain import append
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind


class AccessLog:
    """In the role `app`. Attempts on what a tenant does not have are recorded by the stores that refuse them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_read(self, tenant_id: str, actor: str, facts: Mapping[str, Any]) -> None:
        """Records that the tenant's audit was read, as `audit.read`: to be called before what was read is shown.

        Args:
            tenant_id: whose audit.
            actor: the person who read it.
            facts: the command, what it was asked for, and the number of rows.

        Raises:
            UnknownTenant: there is no such tenant.
            StoreUnavailable: PostgreSQL does not answer.
        """
        with self._database.transaction(tenant_id) as connection:
            append(connection, tenant_id, [AuditEvent(kind=AuditKind.AUDIT_READ, actor=actor, facts=dict(facts))])
