"""Tenants, as their administrator sees them: the store in the role `owner`."""

from typing import Protocol

from chimera.models.record import Instant, Record, TenantId


class Tenant(Record):
    """Somebody that Chimera works for."""

    tenant_id: TenantId
    created_at: Instant


class TenantStore(Protocol):
    """Each method is one transaction; all raise StoreUnavailable."""

    def add(self, tenant_id: str, actor: str) -> bool:
        """Adds a tenant and its audit's first entry; False where it is there already."""
        ...

    def list_tenants(self) -> list[Tenant]:
        """All tenants, by id."""
        ...
