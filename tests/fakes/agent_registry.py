"""The registry of agents in memory."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from uuid import UUID

from chimera.errors import AgentNotFound, QueueUnavailable
from chimera.models.work.agent import (
    FORGOTTEN_AFTER_SECONDS,
    OFFLINE_AFTER_SECONDS,
    Agent,
    AgentStatus,
    ProcessBeat,
    agents_of,
)
from chimera.models.work.workforce import Crew, Workforce
from chimera.ports import agent_registry as port
from chimera.ports.agent_registry import AgentLiveness
from tests.fakes.clock import FakeClock


@dataclass
class Known:
    beat: ProcessBeat
    seen: datetime
    draining: bool
    left: bool = False


class FakeAgentRegistry(port.AgentRegistry):
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.available = True
        self._known: dict[UUID, Known] = {}
        self._since: datetime | None = None
        self._last: datetime | None = None
        # Processes beat at the same time.
        self._beating = Lock()

    def lose_everything(self) -> None:
        self._known.clear()
        self._since = self._last = None

    def register(self, beat: ProcessBeat) -> None:
        self._beat(beat, draining=beat.draining)

    def heartbeat(self, beat: ProcessBeat) -> bool:
        with self._beating:
            known = self._known.get(beat.process_id)
            self._beat(beat, draining=beat.draining if known is None or known.left else known.draining)
            return self._known[beat.process_id].draining

    def leave(self, process_id: UUID) -> None:
        self._check()
        if process_id in self._known:
            self._known[process_id].left = True

    def list_agents(
        self,
        *,
        status: AgentStatus | None = None,
        node: str | None = None,
        gone_seconds: float = FORGOTTEN_AFTER_SECONDS,
        after: UUID | None = None,
        limit: int = 100,
    ) -> list[Agent]:
        self._check()
        agents = list(self._agents())
        if after:
            place = next((place for place, agent in enumerate(agents) if agent.agent_id == after), None)
            if place is None:
                raise AgentNotFound
            agents = agents[place + 1 :]
        gone = self.clock.now() - timedelta(seconds=gone_seconds)
        agents = [agent for agent in agents if agent.status is not AgentStatus.OFFLINE or agent.last_seen >= gone]
        return [agent for agent in agents if status in {None, agent.status} and node in {None, agent.node}][:limit]

    def get(self, agent_id: UUID) -> Agent:
        self._check()
        for agent in self._agents():
            if agent.agent_id == agent_id:
                return agent
        raise AgentNotFound

    def drain(self, target: UUID | str, *, draining: bool) -> int:
        self._check()
        concerned = {agent.process_id for agent in self._agents() if target in {agent.agent_id, agent.node}}
        if not concerned:
            raise AgentNotFound
        count = 0
        for process_id in concerned:
            known = self._known[process_id]
            if self._online(known):
                known.draining = draining
                count += sum(slot.status is not AgentStatus.OFFLINE for slot in known.beat.slots)
        return count

    def workforce(self) -> Workforce:
        self._check()
        crews: Counter[Crew] = Counter()
        for known in self._known.values():
            if self._online(known) and not known.draining:
                crews[known.beat.crew] += sum(slot.status is not AgentStatus.OFFLINE for slot in known.beat.slots)
        return Workforce(crews=tuple((crew, count) for crew, count in crews.items() if count))

    def let_in(self) -> None:
        self._check()

    def standing(self, agent_ids: Collection[UUID], tenant_id: str | None = None) -> AgentLiveness:
        self._check()
        asked = frozenset(agent_ids)
        gone = frozenset(
            slot.agent_id
            for known in self._known.values()
            for slot in known.beat.slots
            if known.left or slot.status is AgentStatus.OFFLINE
        )
        alive = asked - gone
        if (
            self._last is not None
            and self._since is not None
            and not self._late(self._last)
            and self._late(self._since)
        ):
            alive &= {agent.agent_id for agent in self._agents() if agent.status is not AgentStatus.OFFLINE}
        return AgentLiveness(alive=alive, gone=gone & asked, silent=asked - gone - alive)

    def _beat(self, beat: ProcessBeat, *, draining: bool) -> None:
        self._check()
        now = self.clock.now()
        if self._last is None or self._late(self._last):
            self._since = now
        self._last = now
        self._known[beat.process_id] = Known(beat, now, draining)
        oldest = now - timedelta(seconds=FORGOTTEN_AFTER_SECONDS)
        self._known = {process_id: known for process_id, known in self._known.items() if known.seen > oldest}

    def _agents(self) -> Iterator[Agent]:
        for process_id in sorted(self._known):
            known = self._known[process_id]
            yield from agents_of(known.beat, known.seen, online=self._online(known), draining=known.draining)

    def _online(self, known: Known) -> bool:
        return not known.left and not self._late(known.seen)

    def _late(self, time: datetime) -> bool:
        return self.clock.now() - time > timedelta(seconds=OFFLINE_AFTER_SECONDS)

    def _check(self) -> None:
        if not self.available:
            raise QueueUnavailable
