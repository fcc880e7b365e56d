"""Logins that are bound to one tenant, in memory."""

from collections.abc import Mapping

from chimera.errors import UnknownTenant
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.bound import BoundTenant, LoginKind, bound_role
from chimera.ports import credential_store as port
from tests.fakes.database import FakeDatabase


class FakeCredentialStore(port.CredentialStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        # By tenant, what each of its roles is called.
        self._roles: dict[str, dict[LoginKind, str]] = {}

    def make(
        self, tenant_id: str, passwords: Mapping[LoginKind, str], broker_sha256: str, actor: str
    ) -> dict[LoginKind, str]:
        database = self._database.opened()
        if tenant_id not in database.tenants:
            raise UnknownTenant
        roles = self._roles[tenant_id] = {kind: bound_role(kind, tenant_id) for kind in passwords}
        self._unbind(tenant_id)
        database.bound_tenants.append(BoundTenant(tenant_id=tenant_id, broker_sha256=broker_sha256))
        self._record(tenant_id, AuditKind.TENANT_CREDENTIALS, actor, sorted(roles.values()))
        return roles

    def revoke(self, tenant_id: str, actor: str) -> list[str]:
        self._database.opened()
        roles = sorted(self._roles.pop(tenant_id, {}).values())
        self._unbind(tenant_id)
        if roles:
            self._record(tenant_id, AuditKind.TENANT_CREDENTIALS_REVOKED, actor, roles)
        return roles

    def bound_tenants(self) -> list[BoundTenant]:
        return list(self._database.opened().bound_tenants)

    def _unbind(self, tenant_id: str) -> None:
        known = self._database.bound_tenants
        known[:] = [each for each in known if each.tenant_id != tenant_id]

    def _record(self, tenant_id: str, kind: AuditKind, actor: str, roles: list[str]) -> None:
        self._database.record(tenant_id, [AuditEvent(kind=kind, actor=actor, facts={"roles": roles})])
