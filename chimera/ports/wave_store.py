"""The waves of a tenant that go out next: the outbox of the fan-out."""

from collections.abc import Collection, Sequence
from typing import Protocol

from chimera.models.record import Record
from chimera.models.work.wave import QueuedTask, WaveRef


class OutgoingWave(Record):
    """A wave that is to be published, with the tasks that wait in it."""

    wave: WaveRef
    tasks: tuple[QueuedTask, ...]
    # It has tasks that do not fit under a budget's limit: the Judge denies them.
    judge: bool = False
    # The plan's.
    trace_id: str


class WaveStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def take_next(self, tenant_id: str, window: int) -> list[OutgoingWave]:
        """Moves waiting waves into flight while fewer than `window` are, and returns all that are unpublished.

        A wave that waits for a skill leaves its room to others; a plan with a window of such waves gets no more.
        Highest priority first, then oldest. A wave whose tasks depend on others waits until those have
        their final decisions; those of a paused plan wait too, and leave their room to others. Waves that
        another process is publishing right now are left to it.

        Where the tenant has a budget, what the tasks need is set aside first: only those that something is set aside
        for are among the wave's tasks. What does not fit is dealt with as the budget says; what may fit when others
        are settled waits, and its wave is returned again with those of its tasks that can then be sent.
        """
        ...

    def max_batches(self, skills: Collection[str]) -> dict[str, int]:
        """The `max_batch` of those of these skills that a worker has declared."""
        ...

    def mark_published(self, waves: Sequence[WaveRef], epoch: str, waiting: Collection[WaveRef] = ()) -> None:
        """Notes that these waves, all of one tenant, were sent in this epoch of the broker.

        Those in `waiting` were sent without some of their tasks, whose skill no agent or too few agents have: they
        wait for the skill from now on, unless they do so already.
        """
        ...
