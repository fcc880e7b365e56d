"""What lost messages left undone, over all tenants: the store in the role `judge`."""

from typing import Protocol
from uuid import UUID

from chimera.models.record import Record, TenantId
from chimera.models.wave import WaveRef


class PlanRef(Record):
    """Which plan."""

    tenant_id: TenantId
    plan_id: UUID


class OverdueWave(Record):
    """What a wave that nobody touched for a while needs."""

    wave: WaveRef
    judge: bool  # it has staged results, or a task whose last lease ran out
    publish: bool  # tasks wait in it whose message must have been lost: its tenant is among waiting_tenants


class SweepStore(Protocol):
    """Each method is one transaction; any number of sweeps may run at once; all raise StoreUnavailable."""

    def expire_plans(self) -> list[PlanRef]:
        """Stops the plans whose deadline has passed, and returns them."""
        ...

    def unplanned(self) -> list[PlanRef]:
        """Plans whose planner's message was not sent or was lost, or whose planner died. Marks them as sent."""
        ...

    def stopping(self) -> list[PlanRef]:
        """Plans that stop."""
        ...

    def overdue_waves(self) -> list[OverdueWave]:
        """Takes back leases that ran out in waves that nobody touched lately, and says what those waves need."""
        ...

    def waiting_tenants(self) -> list[str]:
        """Tenants with a wave that may have to be published."""
        ...
