"""Logins that are bound to one tenant, in PostgreSQL."""

from collections.abc import Mapping

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.errors import StoreRefused, UnknownTenant
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.bound import BoundTenant, LoginKind, bound_role
from chimera.ports import credential_store as port

_SQL = statements("credential_store")
# Of each login at once: one tenant must not take all that the server has.
_CONNECTIONS = 40


class CredentialStore(port.CredentialStore):
    """Roles with a password each, and a table that says whose they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(  # noqa: D102  see the port
        self, tenant_id: str, passwords: Mapping[LoginKind, str], broker_sha256: str, actor: str
    ) -> dict[LoginKind, str]:
        roles = {kind: bound_role(kind, tenant_id) for kind in passwords}
        with self._database.transaction(tenant_id) as connection:
            if connection.execute(_SQL["tenant"], {"tenant": tenant_id}).fetchone() is None:
                raise UnknownTenant.named(tenant_id)
            for kind, role in roles.items():
                row = connection.execute(_SQL["role"], {"role": role}).fetchone()
                assert row is not None
                if row["is_there"] and row["tenant_id"] != tenant_id:
                    raise StoreRefused(
                        f'there is a role "{role}" that was not made for this tenant. Fix: drop it, if nobody uses it'
                    )
                hashed = connection.pgconn.encrypt_password(passwords[kind].encode(), role.encode(), b"scram-sha-256")
                _make_login(connection, f"chimera_{kind}", role, hashed.decode(), is_there=row["is_there"])
                connection.execute(_SQL["bind"], {"role": role, "tenant": tenant_id, "broker": broker_sha256})
            _record(connection, tenant_id, AuditKind.TENANT_CREDENTIALS, actor, sorted(roles.values()))
        return roles

    def revoke(self, tenant_id: str, actor: str) -> list[str]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            roles = [row["role"] for row in connection.execute(_SQL["unbind"], {"tenant": tenant_id})]
            for role in roles:
                connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))
            if roles:
                _record(connection, tenant_id, AuditKind.TENANT_CREDENTIALS_REVOKED, actor, roles)
        return roles

    def bound_tenants(self) -> list[BoundTenant]:  # noqa: D102
        with self._database.transaction() as connection:
            return [BoundTenant.model_validate(row) for row in connection.execute(_SQL["bound_tenants"])]


def _make_login(connection: psycopg.Connection[DictRow], group: str, role: str, hashed: str, *, is_there: bool) -> None:
    # Who is no superuser may not even say again that a role is none.
    what = "alter role {} login" if is_there else "create role {} login nosuperuser nocreaterole nocreatedb"
    login = sql.SQL(f"{what} connection limit {{}} password {{}}").format(
        sql.Identifier(role), sql.Literal(_CONNECTIONS), sql.Literal(hashed)
    )
    try:
        with connection.pipeline():  # at whose end both are done, or one was refused
            connection.execute(login)
            connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(role)))
    except psycopg.errors.InsufficientPrivilege as exc:
        raise StoreRefused(
            f'the owner may not make the login "{role}" ({exc.diag.message_primary}). Fix: have who may make roles run '
            f"`alter role {connection.info.user} createrole; grant chimera_app, chimera_worker to "
            f"{connection.info.user} with admin option`, and try again"
        ) from None


def _record(
    connection: psycopg.Connection[DictRow], tenant_id: str, kind: AuditKind, actor: str, roles: list[str]
) -> None:
    append(connection, tenant_id, [AuditEvent(kind=kind, actor=actor, facts={"roles": roles})])
