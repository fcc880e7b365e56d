"""Who read the audit, in PostgreSQL."""

from collections.abc import Mapping
from typing import Any

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.chain import ChainAppender
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.ports import access_log as port


class AccessLog(port.AccessLog):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_read(self, tenant_id: str, actor: str, facts: Mapping[str, Any]) -> None:  # noqa: D102  see the port
        with self._database.transaction(tenant_id) as connection:
            ChainAppender(connection, tenant_id).append(
                [AuditEvent(kind=AuditKind.AUDIT_READ, actor=actor, facts=dict(facts))]
            )
