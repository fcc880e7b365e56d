"""Tasks as workers see them: the store in the role `worker`, which claims and stages."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from chimera.models.result import Result
from chimera.models.task import ClaimedTask
from chimera.models.wave import WaveRef


class WorkStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def claim(
        self, wave: WaveRef, task_ids: Sequence[UUID], agent_id: UUID, lease_token: UUID, lease_seconds: float
    ) -> list[ClaimedTask]:
        """Takes the lease of those tasks that may run now, one attempt each, in the plan's order.

        A task that another agent holds, that has no attempt left, that is done, or whose plan has
        stopped or is paused, is not among them: a message that comes twice changes nothing.
        """
        ...

    def stage(self, wave: WaveRef, agent_id: UUID, lease_token: UUID, results: Sequence[Result]) -> int:
        """Stores the results of tasks whose lease this still is; returns how many. The others are dropped."""
        ...
