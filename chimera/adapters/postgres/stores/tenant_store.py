"""Tenants, in PostgreSQL."""

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import Instant, Record, TenantId

_SQL = statements("tenant_store")


class Tenant(Record):
    """Somebody that Chimera works for."""

    tenant_id: TenantId
    created_at: Instant


class TenantStore:
    """Tenants, as their administrator sees them: in the role `owner`. All raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant_id: str, actor: str) -> bool:
        """Adds a tenant and its audit's first entry; False where it is there already."""
        with self._database.transaction(tenant_id) as connection:
            if connection.execute(_SQL["add"], {"tenant": tenant_id}).fetchone() is None:
                return False
            connection.execute(_SQL["add_head"], {"tenant": tenant_id})
            append(connection, tenant_id, [AuditEvent(kind=AuditKind.TENANT_ADDED, actor=actor, facts={})])
        return True

    def list_tenants(self) -> list[Tenant]:
        """All tenants, by id."""
        with self._database.transaction() as connection:
            return [Tenant.model_validate(row) for row in connection.execute(_SQL["list"])]
