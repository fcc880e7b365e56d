"""All registries as one: everybody's, and that of each tenant whose workers have logins of their own.

What stands in a tenant's own that tenant's code may have written: it says of nothing but this tenant's work, and where
it cannot be read that tenant has no agents.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

import redis
import structlog

from chimera.adapters.redis.agent_registry import PREFIX, AgentRegistry
from chimera.errors import AgentNotFound, QueueUnavailable
from chimera.models.work.agent import FORGOTTEN_AFTER_SECONDS, Agent, AgentStatus, ProcessBeat
from chimera.models.work.bound import broker_user
from chimera.models.work.workforce import Crew, Workforce
from chimera.ports import agent_registry as port
from chimera.ports.agent_registry import AgentLiveness

log = structlog.get_logger(__name__)

# More than a tenant's workers can have: what goes beyond was not written by any.
_MOST_SLOTS = 10_000


def own_registry(client: redis.Redis, tenant_id: str) -> AgentRegistry:
    """The registry of the tenant's own workers."""
    return AgentRegistry(client, prefix=f"{broker_user(tenant_id)}:{PREFIX.removeprefix('chimera:')}")


class EveryRegistry(port.AgentRegistry):
    """Beats go to everybody's; questions are answered from all."""

    def __init__(self, client: redis.Redis, bound: Callable[[], Collection[str]]) -> None:
        """Set up registries of which nothing is asked yet.

        Args:
            client: as of AgentRegistry, with a login that reaches all keys.
            bound: the tenants that have a registry of their own.
        """
        self._client = client
        self._general = AgentRegistry(client)
        self._bound = bound

    def register(self, beat: ProcessBeat) -> None:  # noqa: D102  see the port
        self._general.register(beat)

    def heartbeat(self, beat: ProcessBeat) -> bool:  # noqa: D102
        return self._general.heartbeat(beat)

    def leave(self, process_id: UUID) -> None:  # noqa: D102
        self._general.leave(process_id)

    def let_in(self) -> None:  # noqa: D102
        self._general.let_in()

    def list_agents(  # noqa: D102
        self,
        *,
        status: AgentStatus | None = None,
        node: str | None = None,
        gone_seconds: float = FORGOTTEN_AFTER_SECONDS,
        after: UUID | None = None,
        limit: int = 100,
    ) -> list[Agent]:
        found: list[Agent] = []
        was_found = after is None
        for tenant_id, registry in self._every():
            # The page before ended in one of them; those before it are told.
            last = None if was_found else after
            with _distrusting(tenant_id):
                try:
                    found += registry.list_agents(
                        status=status, node=node, gone_seconds=gone_seconds, after=last, limit=limit - len(found)
                    )
                    was_found = True
                except AgentNotFound:
                    continue
            if len(found) >= limit:
                break
        if not was_found:
            raise AgentNotFound
        return found

    def get(self, agent_id: UUID) -> Agent:  # noqa: D102
        for tenant_id, registry in self._every():
            with _distrusting(tenant_id):
                try:
                    return registry.get(agent_id)
                except AgentNotFound:
                    continue
        raise AgentNotFound

    def drain(self, target: UUID | str, *, draining: bool) -> int:  # noqa: D102
        counts = []
        unknown = AgentNotFound()
        for tenant_id, registry in self._every():
            with _distrusting(tenant_id):
                try:
                    counts.append(registry.drain(target, draining=draining))
                except AgentNotFound as exc:
                    unknown = exc
        if not counts:
            raise unknown
        return sum(counts)

    def workforce(self) -> Workforce:  # noqa: D102
        crews = list(self._general.workforce().crews)
        for tenant_id in sorted(self._bound()):
            with _distrusting(tenant_id):
                for crew, count in own_registry(self._client, tenant_id).workforce().crews:
                    if 0 < count <= _MOST_SLOTS:
                        own = Crew(tenants=(tenant_id,), skills=crew.skills, planners=crew.planners)
                        crews.append((own, count))
        return Workforce(crews=tuple(crews))

    def standing(self, agent_ids: Collection[UUID], tenant_id: str | None = None) -> AgentLiveness:  # noqa: D102
        known = self._general.standing(agent_ids)
        if tenant_id is None or not known.silent or tenant_id not in self._bound():
            return known
        with _distrusting(tenant_id):
            own = own_registry(self._client, tenant_id).standing(known.silent)
            return AgentLiveness(alive=known.alive | own.alive, gone=known.gone | own.gone, silent=own.silent)
        return known

    def _every(self) -> Iterator[tuple[str | None, AgentRegistry]]:
        yield None, self._general
        for tenant_id in sorted(self._bound()):
            yield tenant_id, own_registry(self._client, tenant_id)


@contextmanager
def _distrusting(tenant_id: str | None) -> Iterator[None]:
    """Passes over what cannot be read of a tenant's own registry, with a log line; of everybody's it is an error."""
    try:
        yield
    except (QueueUnavailable, ValueError, TypeError, AttributeError, StopIteration) as exc:
        is_unreadable = not isinstance(exc, QueueUnavailable) or isinstance(exc.__cause__, redis.ResponseError)
        if tenant_id is None or not is_unreadable:
            raise
        log.warning("agents_not_readable", tenant_id=tenant_id, error=type(exc).__name__)
