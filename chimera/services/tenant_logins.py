"""Logins that are one tenant's own, in the database and at the broker: what its processes reach everything of it with,
and nothing of other tenants.
"""

from hashlib import sha256

from chimera.models.work.bound import LoginKind, OwnLogins, broker_user
from chimera.ports.agent_registry import AgentRegistry
from chimera.ports.credential_store import CredentialStore
from chimera.ports.login_maker import LoginMaker
from chimera.ports.queue import Queue


class TenantLogins:
    """The database knows first whose logins there are; the sweep tells the broker again where it has forgotten."""

    def __init__(self, store: CredentialStore, maker: LoginMaker, queue: Queue, agents: AgentRegistry) -> None:
        self._store = store
        self._maker = maker
        self._queue = queue
        self._agents = agents

    def give(self, tenant_id: str, actor: str) -> OwnLogins:
        """Makes a tenant's logins, or gives those that are there new passwords.

        Raises:
            InvalidInput: no user can be made at the broker; nothing was made.
            UnknownTenant: there is no such tenant.
            StoreRefused: the owner may not make them, or somebody else has.
            StoreUnavailable, QueueUnavailable: a server does not answer.
        """
        user, password = broker_user(tenant_id), self._maker.password()
        redis_url = self._maker.broker_url(user, password)
        passwords: dict[LoginKind, str] = {"app": self._maker.password(), "worker": self._maker.password()}
        roles = self._store.make(tenant_id, passwords, sha256(password.encode()).hexdigest(), actor)
        self._agents.let_in()
        self._queue.keep_bound(self._store.bound_tenants())
        return OwnLogins(
            tenant_id=tenant_id,
            queue=user,
            redis_url=redis_url,
            app_database_url=self._maker.database_url(roles["app"], passwords["app"]),
            worker_database_url=self._maker.database_url(roles["worker"], passwords["worker"]),
            message_key=self._maker.message_key(user),
        )

    def revoke(self, tenant_id: str, actor: str) -> list[str]:
        """Ends a tenant's logins; returns the names of its roles, none if it had none.

        Raises:
            StoreRefused: the owner may not end them.
            StoreUnavailable, QueueUnavailable: a server does not answer.
        """
        ended = self._store.revoke(tenant_id, actor)
        self._queue.keep_bound(self._store.bound_tenants())
        return ended
