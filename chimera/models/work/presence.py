"""What a worker says of itself every second: that it is there, and how things stand with it."""

from pydantic import Field

from chimera.models.record import Record

SAID_SECONDS = 1.0
# Three times: one that is missed may be a pause of the machine or of the network.
GONE_AFTER_SECONDS = 3 * SAID_SECONDS


class WorkerNote(Record):
    """A worker, whatever its queues, as it said last. It stands where somebody else may have written it, too."""

    # The worker's main process, on its own machine.
    pid: int = Field(ge=0)
    queues: frozenset[str]
    # Their names.
    skills: frozenset[str]
    planners: frozenset[str]
    # How far its skills are kept from it: CHIMERA_ISOLATION.
    isolation: str
    # The database roles whose login it knows.
    logins: frozenset[str] = frozenset()
    # Sweeps that it has begun since its start.
    sweeps: int = Field(ge=0)
    # Seconds since the epoch by the broker's clock when it was said, and the least and the most that this machine's
    # clock was ahead of that one then.
    at: float
    ahead_seconds: tuple[float, float]
