"""What lost messages left undone, over all tenants: the store in the role `judge`."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from chimera.models.record import Record, TenantId
from chimera.models.work.bound import BoundTenant
from chimera.models.work.lease import LostLease
from chimera.models.work.wave import WaveRef


class PlanRef(Record):
    """Which plan."""

    tenant_id: TenantId
    plan_id: UUID
    # Of its request, where the store has looked at the plan.
    trace_id: str | None = None


class OverdueWave(Record):
    """What a wave that nobody touched for a while needs."""

    wave: WaveRef
    judge: bool  # it has staged results, or a task whose last lease ran out
    # The leases that were taken back.
    taken_back: tuple[LostLease, ...] = ()
    # The plan's.
    trace_id: str


class SweepStore(Protocol):
    """Each method is one transaction; any number of sweeps may run at once; all raise StoreUnavailable."""

    def expire_plans(self) -> list[PlanRef]:
        """Stops the plans whose deadline has passed, and returns them."""
        ...

    def forget(self, epoch: str) -> int:
        """Marks as unsent what was sent in another epoch of the broker; returns how many plans and waves."""
        ...

    def bound_tenants(self) -> list[BoundTenant]:
        """The tenants that have logins of their own."""
        ...

    def unplanned(self) -> list[PlanRef]:
        """Plans whose planner's message was not sent or was lost, or whose planner died."""
        ...

    def unreplanned(self) -> list[WaveRef]:
        """Waves with tasks that wait for their planner, whose message was lost or whose planner died.

        Each is given out once in some seconds.
        """
        ...

    def mark_published(self, plan: PlanRef, epoch: str) -> None:
        """Notes that a planner's message was sent, in this epoch of the broker."""
        ...

    def stopping(self) -> list[PlanRef]:
        """Plans that stop."""
        ...

    def untouched_waves(self) -> list[WaveRef]:
        """Waves in flight that nobody touched for longer than a quick wave takes."""
        ...

    def agents(self, tenant_id: str, waves: Sequence[WaveRef]) -> set[UUID]:
        """Agents that hold a lease in these waves of a tenant."""
        ...

    def look_at(
        self,
        wave: WaveRef,
        gone: Collection[UUID],
        silent: Collection[UUID],
        *,
        queue_is_empty: bool,
        skills: Collection[str] | None = None,
    ) -> OverdueWave | None:
        """Takes back leases that ran out or whose agent does not live, and says what the wave needs.

        Where tasks wait in it whose message must have been lost it counts as unsent: `waiting_tenants` has its tenant.

        None where another sweep has it, or it was touched meanwhile.

        Args:
            wave: one of `untouched_waves`.
            gone: agents of which their own process says so.
            silent: agents that nobody has heard of lately. What one of them renewed lately is left to it all the same.
            queue_is_empty: the tenant's queue holds no message, so that tasks which wait for one wait in vain.
            skills: those that agents have which take the tenant's work: tasks of other skills wait for such an agent,
                and are not sent to others. None: there is no agent, and messages wait for those to come.
        """
        ...

    def keep_audit(self) -> None:
        """Makes room for the audit's next months, and records refused attempts that were only counted."""
        ...

    def resume_in_budget(self) -> list[PlanRef]:
        """Resumes plans that a budget paused and that may have something left now, and returns them.

        The day is over, somebody allowed more, or another policy was applied.
        """
        ...

    def waiting_tenants(self) -> list[str]:
        """Tenants with a wave that may have to be published."""
        ...
