"""The logins that are one tenant's own, in the database."""

from collections.abc import Mapping
from typing import Protocol

from chimera.models.work.bound import BoundTenant, LoginKind


class CredentialStore(Protocol):
    """In the role `owner`. All raise StoreUnavailable, and StoreRefused where the owner may not make such roles."""

    def make(
        self, tenant_id: str, passwords: Mapping[LoginKind, str], broker_sha256: str, actor: str
    ) -> dict[LoginKind, str]:
        """Makes the tenant's login roles, or gives those that are there these passwords; returns their names.

        Args:
            tenant_id: whose.
            passwords: of each role.
            broker_sha256: of the password of the tenant's user at the broker, 64 hex digits.
            actor: who asked for it, for the record.

        Raises:
            UnknownTenant: there is no such tenant.
            StoreRefused: there is a role of such a name that was not made by this.
        """
        ...

    def revoke(self, tenant_id: str, actor: str) -> list[str]:
        """Ends the tenant's logins, whose sessions see no row from now on; returns their names, none if it had none."""
        ...

    def bound_tenants(self) -> list[BoundTenant]:
        """The tenants that have logins of their own."""
        ...
