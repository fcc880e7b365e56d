"""Tenants, in PostgreSQL."""

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import ChainAppender
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.ports import tenant_store as port
from chimera.ports.tenant_store import Tenant

_SQL = statements("tenant_store")


class TenantStore(port.TenantStore):
    """In the role `owner`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant_id: str, actor: str) -> bool:  # noqa: D102  see the port
        with self._database.transaction(tenant_id) as connection:
            if connection.execute(_SQL["add"], {"tenant": tenant_id}).fetchone() is None:
                return False
            connection.execute(_SQL["add_head"], {"tenant": tenant_id})
            ChainAppender(connection, tenant_id).append(
                [AuditEvent(kind=AuditKind.TENANT_ADDED, actor=actor, facts={})]
            )
        return True

    def list_tenants(self) -> list[Tenant]:  # noqa: D102
        with self._database.transaction() as connection:
            return [Tenant.model_validate(row) for row in connection.execute(_SQL["list"])]
