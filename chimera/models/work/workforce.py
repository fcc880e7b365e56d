"""The workforce: which agents take work now, and what they can run."""

from chimera.models.record import Record, TenantId


class Crew(Record):
    """Agents that can run the same for the same tenants."""

    # Those that -Q names; None for all.
    tenants: tuple[TenantId, ...] | None = None
    skills: tuple[str, ...] = ()
    planners: tuple[str, ...] = ()


class Workforce(Record):
    """All agents that live and do not drain, by crew."""

    # Each crew with its number of agents.
    crews: tuple[tuple[Crew, int], ...] = ()

    def slots(self, tenant_id: str, skill: str | None = None) -> int:
        """The agents that take the tenant's work; of those, the ones that have the skill."""
        return sum(
            count
            for crew, count in self.crews
            if (crew.tenants is None or tenant_id in crew.tenants) and (skill is None or skill in crew.skills)
        )

    def skills(self, tenant_id: str) -> frozenset[str] | None:
        """The skills that some agent has which takes the tenant's work; None where there is no such agent."""
        if not self.slots(tenant_id):
            return None
        crews = (crew for crew, _ in self.crews if crew.tenants is None or tenant_id in crew.tenants)
        return frozenset(skill for crew in crews for skill in crew.skills)
