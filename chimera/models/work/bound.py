"""What is one tenant's own, and what it is called: its logins in the database, its user and keys at the broker."""

from hashlib import sha256
from typing import Literal

from pydantic import Field

from chimera.models.record import Record, TenantId

# PostgreSQL cuts longer names.
_MOST_BYTES = 63
_DIGEST_DIGITS = 16


# The database roles that a tenant has logins of its own for.
LoginKind = Literal["app", "worker"]


class BoundTenant(Record):
    """A tenant that has logins of its own."""

    tenant_id: TenantId
    # Of its broker user's password: 64 hex digits.
    broker_sha256: str


class OwnLogins(Record):
    """What a tenant's own processes need to know; each but the first two is a secret."""

    tenant_id: TenantId
    # What its workers take work of.
    queue: str
    redis_url: str = Field(repr=False)
    app_database_url: str = Field(repr=False)
    worker_database_url: str = Field(repr=False)
    # Of that queue alone.
    message_key: str = Field(repr=False)


def bound_role(kind: LoginKind, tenant_id: str) -> str:
    """The login role that does the work of this role for one tenant alone: chimera_worker_acme.

    Of a tenant id too long for that its beginning, a dot, which no tenant id has, and the beginning of its SHA-256.
    """
    name = f"chimera_{kind}_{tenant_id}"
    if len(name) <= _MOST_BYTES:
        return name
    digest = sha256(tenant_id.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{name[: _MOST_BYTES - 1 - _DIGEST_DIGITS]}.{digest}"


def broker_user(tenant_id: str) -> str:
    """The tenant's user at the broker; also its list there, and with a colon what its other keys begin with."""
    return f"tenant.{tenant_id}"
