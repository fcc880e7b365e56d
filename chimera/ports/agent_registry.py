"""Which agents there are, what each runs, and which of them take work."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from chimera.models.record import Record
from chimera.models.work.agent import FORGOTTEN_AFTER_SECONDS, Agent, AgentStatus, ProcessBeat
from chimera.models.work.workforce import Workforce


class AgentLiveness(Record):
    """Some agents, by what is known of them."""

    # May still run: known and not OFFLINE.
    alive: frozenset[UUID]
    # Their own process knows them to be gone: a pool child that died, or a worker that ended.
    gone: frozenset[UUID]
    # Nobody has heard of them lately, or ever.
    silent: frozenset[UUID]


class AgentRegistry(Protocol):
    """A few round trips each, however many agents there are; all raise QueueUnavailable.

    What it knows is lost with the broker's memory, and is there again after the next beats.
    """

    def register(self, beat: ProcessBeat) -> None:
        """Makes a process and its agents known; whether it drains is what the beat says."""
        ...

    def heartbeat(self, beat: ProcessBeat) -> bool:
        """Notes that a process lives and what its agents do; returns whether it is to drain.

        A process that is not known (any more) becomes so, and drains if its beat says it does.
        """
        ...

    def leave(self, process_id: UUID) -> None:
        """Notes that a process has ended: its agents are OFFLINE from now on."""
        ...

    def list_agents(
        self,
        *,
        status: AgentStatus | None = None,
        node: str | None = None,
        gone_seconds: float = FORGOTTEN_AFTER_SECONDS,
        after: UUID | None = None,
        limit: int = 100,
    ) -> list[Agent]:
        """Agents in the order in which their processes started, those OFFLINE within the last hour among them.

        Args:
            status: only agents that are so.
            node: only agents of the workers of this name.
            gone_seconds: of those OFFLINE only such as were seen within this.
            after: the agent that the page before ended with.
            limit: the most that are returned.

        Raises:
            AgentNotFound: `after` is not known (any more).
        """
        ...

    def get(self, agent_id: UUID) -> Agent:
        """One agent.

        Raises:
            AgentNotFound: it is not known, or has been OFFLINE for more than an hour.
        """
        ...

    def drain(self, target: UUID | str, *, draining: bool) -> int:
        """Tells a worker to take no new work and finish what it runs, or to take work again.

        Args:
            target: an agent's id, which stands for its whole process, or the name of a node.
            draining: False takes it back.

        Returns the number of living agents that this concerns. A worker that starts anew does not drain.

        Raises:
            AgentNotFound: there is no such agent or node.
        """
        ...

    def workforce(self) -> Workforce:
        """The agents that live and do not drain, and what they can run."""
        ...

    def let_in(self) -> None:
        """Has the broker take the beats of workers that have one tenant's logins."""
        ...

    def standing(self, agent_ids: Collection[UUID], tenant_id: str | None = None) -> AgentLiveness:
        """Which of these agents, who took work of this tenant, may still run.

        That an agent is dead shows by the beats it misses while others beat: where no beat came at all for three
        beats (the broker was away, or has lost everything), all of them count as alive until three beats later.
        """
        ...
