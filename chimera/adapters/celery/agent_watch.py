"""What a worker's main process sees of its agents, and what it says of them with the next beat."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from chimera.models.work.agent import (
    ACTIVE_SECONDS,
    FORGOTTEN_AFTER_SECONDS,
    AgentMetrics,
    AgentSlot,
    AgentStatus,
    AgentWork,
)

# Of the children that are gone the last few are told of: a pool that replaces its children often has many.
_GONE_TOLD = 16


@dataclass(frozen=True)
class Sight:
    """One agent as it is seen now."""

    agent_id: UUID
    pid: int
    running: AgentWork | None
    # Batches begun since its start.
    batches: int
    metrics: AgentMetrics = field(default_factory=AgentMetrics)


@dataclass(frozen=True)
class _Past:
    """An agent as it was seen last, with times in seconds of a monotonic clock."""

    sight: Sight
    ran_at: float | None
    seen_at: float


class AgentWatch:
    """Follows the agents of a process from look to look."""

    def __init__(self) -> None:
        self._here: dict[UUID, _Past] = {}
        self._gone: dict[UUID, _Past] = {}

    def look(self, sights: Iterable[Sight], now: float) -> tuple[AgentSlot, ...]:
        """The agents that are there, then those that are gone, as a beat tells of them.

        A batch that came and went between two looks shows by its agent's count.
        """
        before, self._here = self._here, {}
        for sight in sights:
            self._here[sight.agent_id] = _Past(sight, _ran_at(sight, before.pop(sight.agent_id, None), now), now)
        self._gone |= before
        recent = [past for past in self._gone.values() if now - past.seen_at < FORGOTTEN_AFTER_SECONDS]
        self._gone = {past.sight.agent_id: past for past in recent[-_GONE_TOLD:]}
        here = [_slot(past.sight, _status(past, now)) for past in self._here.values()]
        gone = [_slot(past.sight, AgentStatus.OFFLINE, now - past.seen_at) for past in self._gone.values()]
        return (*here, *gone)


def _ran_at(sight: Sight, past: _Past | None, now: float) -> float | None:
    if sight.running or sight.batches > (past.sight.batches if past else 0):
        return now
    return past.ran_at if past else None


def _status(past: _Past, now: float) -> AgentStatus:
    if past.sight.running:
        return AgentStatus.BUSY
    if past.ran_at is not None and now - past.ran_at < ACTIVE_SECONDS:
        return AgentStatus.ACTIVE
    return AgentStatus.IDLE


def _slot(sight: Sight, status: AgentStatus, gone_seconds: float | None = None) -> AgentSlot:
    return AgentSlot(
        agent_id=sight.agent_id,
        pid=sight.pid,
        status=status,
        running=sight.running if status is AgentStatus.BUSY else None,
        batches=sight.batches,
        metrics=sight.metrics,
        gone_seconds=gone_seconds,
    )
