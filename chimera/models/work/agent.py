"""Agents: slots of a worker that execute batches, and what a worker's process says about its own."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import Field

from chimera.models.record import Instant, Record, TenantId
from chimera.models.work.workforce import Crew

BEAT_SECONDS = 1.0
# Three beats: one that is missed may be a pause of the machine or of the network.
OFFLINE_AFTER_SECONDS = 3 * BEAT_SECONDS
ACTIVE_SECONDS = 60.0
# How long an agent that is OFFLINE stays among those that are listed without being asked for.
LISTED_SECONDS = 60.0
# How long an agent that is OFFLINE can still be looked at.
FORGOTTEN_AFTER_SECONDS = 3600.0


class AgentStatus(StrEnum):
    """How an agent is."""

    BUSY = "busy"  # runs a batch now
    ACTIVE = "active"  # is free, and ran a batch within the last ACTIVE_SECONDS
    IDLE = "idle"  # has been free for longer than that, or since its start
    OFFLINE = "offline"  # its process missed three beats or said goodbye, or its pool child is gone


class AgentWork(Record):
    """What an agent runs: a batch."""

    tenant_id: TenantId
    plan_id: UUID
    wave_no: int = Field(ge=0)
    tasks: int = Field(ge=0)
    # By the clock of the worker's machine.
    since: Instant


class AgentTally(Record):
    """What an agent has done since its start."""

    # Calls of skills: with an output to be gated, and without.
    tasks_done: int = Field(default=0, ge=0)
    tasks_failed: int = Field(default=0, ge=0)
    # With batches, the one that runs included.
    busy_seconds: float = Field(default=0.0, ge=0)


class AgentMetrics(AgentTally):
    """The same, with what its process needs."""

    # Resident, of the operating-system process that executes, which in the threads pool all agents share; None where
    # the system does not tell.
    memory_bytes: int | None = Field(default=None, ge=0)


class AgentSlot(Record):
    """One agent as its process sees it."""

    agent_id: UUID
    # The operating-system process that executes: the pool child, or the worker itself.
    pid: int
    # OFFLINE where this child is gone while its worker lives.
    status: AgentStatus
    running: AgentWork | None = None
    # Batches begun since the agent's start.
    batches: int = Field(default=0, ge=0)
    metrics: AgentMetrics = AgentMetrics()
    # How long this child has been gone, where its worker lives.
    gone_seconds: float | None = Field(default=None, ge=0)


class ProcessBeat(Record):
    """What a worker's main process says about all of its agents, every BEAT_SECONDS."""

    process_id: UUID
    # The worker's name in Celery: worker@host.
    node: str = Field(min_length=1)
    # Those that -Q names; None for all.
    tenants: tuple[TenantId, ...] | None = None
    skills: tuple[str, ...] = ()
    planners: tuple[str, ...] = ()
    # By the clock of the worker's machine.
    started_at: Instant
    # Whether it has been told to take no new work, as far as it remembers.
    draining: bool = False
    slots: tuple[AgentSlot, ...] = ()

    @property
    def crew(self) -> Crew:
        """What its agents can run."""
        return Crew(tenants=self.tenants, skills=self.skills, planners=self.planners)


class Agent(Record):
    """An agent as the registry knows it."""

    agent_id: UUID
    process_id: UUID
    node: str
    pid: int
    tenants: tuple[TenantId, ...] | None
    skills: tuple[str, ...]
    planners: tuple[str, ...]
    status: AgentStatus
    draining: bool
    running: AgentWork | None
    batches: int
    metrics: AgentMetrics
    started_at: Instant
    # When the last beat of its process came that knew it to live, by the registry's clock.
    last_seen: Instant


def agent_id(process_id: UUID, pid: int, slot: int) -> UUID:
    """The id of the agent in a slot of an operating-system process that belongs to a worker's main process.

    Both the process that executes and the main process, which beats for it, find it by themselves.
    """
    return uuid5(process_id, f"{pid}/{slot}")


def agents_of(beat: ProcessBeat, last_seen: datetime, *, online: bool, draining: bool) -> Iterator[Agent]:
    """The agents of a process, in the order of its slots, with what the registry knows better than the beat."""
    for slot in beat.slots:
        alive = online and slot.status is not AgentStatus.OFFLINE
        yield Agent(
            agent_id=slot.agent_id,
            process_id=beat.process_id,
            node=beat.node,
            pid=slot.pid,
            tenants=beat.tenants,
            skills=beat.skills,
            planners=beat.planners,
            status=slot.status if alive else AgentStatus.OFFLINE,
            draining=draining,
            running=slot.running if alive else None,
            batches=slot.batches,
            metrics=slot.metrics,
            started_at=beat.started_at,
            last_seen=last_seen - timedelta(seconds=slot.gone_seconds or 0.0),
        )
