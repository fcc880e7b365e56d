"""Tasks that wait for their planner: the store in the role `app`."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from chimera.models.record import Record
from chimera.models.work.lease import Renewal
from chimera.models.work.replan import DeniedTask
from chimera.models.work.wave import WaveRef


class ReplanJob(Record):
    """A task that its planner is asked about, for the one that holds its lease."""

    planner: str
    denied: DeniedTask
    # From 1: how often the hook was started for this denial.
    tries: int
    # What the task keeps, whatever its planner says.
    state_key: str | None
    timeout_seconds: float
    # The plan's.
    trace_id: str


class Replanned(Record):
    """How a task is done from now on."""

    skill: str
    input: str  # JSON text, as the skill's input schema has it
    timeout_seconds: float


class ReplanStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable.

    What the planner is asked, and what it answers, goes on record in the same transaction. Those that name a
    lease change nothing, and return False, where it was lost or the plan was stopped.
    """

    def begin(
        self, wave: WaveRef, lease_token: UUID, lease_seconds: float, planners: Collection[str]
    ) -> ReplanJob | None:
        """Takes the lease of the wave's next task that waits for its planner and that nobody asks about.

        None where there is none, nothing of the plan may start, its planner is not in `planners`, or this process
        may not run the tenant's code.
        """
        ...

    def renew(self, wave: WaveRef, task_id: UUID, lease_token: UUID, lease_seconds: float) -> Renewal:
        """Prolongs the lease."""
        ...

    def save(self, wave: WaveRef, task_id: UUID, lease_token: UUID, replanned: Replanned) -> bool:
        """Puts the task, as it is done from now on, back among those that wait for an agent."""
        ...

    def give_up(self, wave: WaveRef, task_id: UUID, lease_token: UUID, failure: str | None) -> bool:
        """Has the Judge end the task: its planner gave it up, or failed at it for this reason."""
        ...

    def postpone(self, wave: WaveRef, task_id: UUID, lease_token: UUID, failure: str, seconds: float) -> bool:
        """Lets the planner, which failed for this reason, be asked again after these seconds."""
        ...
