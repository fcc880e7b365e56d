"""Tasks as workers see them: the store in the role `worker`, which claims and stages."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from chimera.models.work.lease import Renewal
from chimera.models.work.result import Result
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef


class WorkStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def claim(
        self,
        wave: WaveRef,
        task_ids: Sequence[UUID],
        agent_id: UUID,
        lease_token: UUID,
        lease_seconds: float,
        skills: Collection[str],
    ) -> list[ClaimedTask]:
        """Takes the lease of those tasks that wait in the queue, one attempt each, in the plan's order.

        A task that another agent holds, that has no attempt left, that is done, whose plan may not start tasks,
        or whose skill is not in `skills`, is not among them: a message that comes twice changes nothing. A task
        that was lost with its agent before is taken only where it is asked for alone. Nothing is taken of a tenant
        whose code this process may not run.
        """
        ...

    def give_back(self, wave: WaveRef, task_ids: Sequence[UUID], skills: Collection[str]) -> list[str]:
        """Says which skills that are not among `skills` these tasks wait for.

        All of theirs, where this process may not run the tenant's code. Where there are any, the wave waits for a
        skill: the sweep sends what is left of it again.
        """
        ...

    def renew(self, wave: WaveRef, lease_token: UUID, lease_seconds: float) -> Renewal:
        """Prolongs the lease of those tasks that are still held with this token."""
        ...

    def stage(self, wave: WaveRef, agent_id: UUID, lease_token: UUID, results: Sequence[Result]) -> int:
        """Stores the results of tasks whose lease this still is; returns how many are stored.

        The others change nothing and are put on record. Staging the same results twice is once.
        """
        ...

    def release(self, wave: WaveRef, lease_token: UUID, task_ids: Sequence[UUID]) -> None:
        """Gives tasks back that were claimed and not started: they wait in the queue again, the attempt unused."""
        ...
