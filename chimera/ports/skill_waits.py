"""What waits for an agent that has a skill."""

from typing import Protocol
from uuid import UUID

from pydantic import Field

from chimera.models.record import Instant, Record, TenantId


class SkillWait(Record):
    """Queued tasks of one skill."""

    tenant_id: TenantId
    skill: str
    count: int = Field(ge=1)
    since: Instant
    # Only workers at level host, or with the tenant's own login, may run them.
    isolated: bool = False


class SkillWaits(Protocol):
    """Each method is one transaction for each tenant; all raise StoreUnavailable.

    In a wave that waits for a skill any queued task counts: where all agents have its skill, it only waits its turn.
    """

    def of_plan(self, tenant_id: str, plan_id: UUID) -> list[SkillWait]:
        """What of a plan waits, by skill; role app or judge."""
        ...

    def of_all(self) -> list[SkillWait]:
        """What waits, by tenant and skill; role judge."""
        ...
