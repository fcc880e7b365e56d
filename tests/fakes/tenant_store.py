"""Tenants, in memory."""

import re

from chimera.errors import InvalidInput
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.ports import tenant_store as port
from chimera.ports.tenant_store import Tenant
from tests.fakes.database import FakeDatabase


class FakeTenantStore(port.TenantStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def add(self, tenant_id: str, actor: str) -> bool:
        database = self._database.opened()
        if tenant_id in database.tenants:
            return False
        if not re.fullmatch("[a-z0-9][a-z0-9_-]{0,62}", tenant_id):
            raise InvalidInput(f"{tenant_id!r} is no tenant id")
        database.tenants[tenant_id] = Tenant(tenant_id=tenant_id, created_at=database.now())
        database.record(tenant_id, [AuditEvent(kind=AuditKind.TENANT_ADDED, actor=actor, facts={})])
        return True

    def list_tenants(self) -> list[Tenant]:
        tenants = self._database.opened().tenants
        return [tenants[tenant_id] for tenant_id in sorted(tenants)]
