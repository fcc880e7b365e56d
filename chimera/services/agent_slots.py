"""The agents of one operating-system process: who runs what in it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Lock
from time import monotonic
from uuid import UUID

from chimera.models.work.agent import AgentTally, AgentWork, agent_id

# Takes calls done and failed, and busy seconds.
Tell = Callable[[int, int, float], None]


@dataclass(slots=True)
class _Counts:
    """What an agent has done: counted with each call, so cheaper than a record."""

    done: int = 0
    failed: int = 0
    busy_seconds: float = 0.0


class TakenSlot:
    """A slot that a batch holds."""

    def __init__(self, agent_id: UUID, count: Callable[..., None]) -> None:
        self.agent_id = agent_id
        self._count = count

    def count(self, *, failed: bool) -> None:
        """Notes that a call of a skill is over."""
        self._count(failed=1) if failed else self._count(done=1)


class AgentSlots:
    """Gives each batch that runs here the lowest free slot, and with it an agent's id; safe between threads."""

    def __init__(self, process_id: UUID, pid: int, tell: Tell = lambda *_: None) -> None:
        """Begins with every slot free.

        Args:
            process_id: the worker's main process, which beats for these agents.
            pid: this operating-system process, which may be a pool child of it.
            tell: told of each change of what an agent has done (calls done and failed, busy seconds); a pool child has
                one agent.
        """
        self._tell = tell
        self._process_id = process_id
        self._pid = pid
        self._lock = Lock()
        self._running: dict[int, AgentWork] = {}
        self._begun: Counter[int] = Counter()
        self._counts: defaultdict[int, _Counts] = defaultdict(_Counts)

    @contextmanager
    def taken(self, work: AgentWork) -> Iterator["TakenSlot"]:
        """Holds a slot while the batch runs."""
        with self._lock:
            slot = next(number for number in count() if number not in self._running)
            self._running[slot] = work
            self._begun[slot] += 1
        began = monotonic()
        try:
            yield TakenSlot(agent_id(self._process_id, self._pid, slot), partial(self._count, slot))
        finally:
            self._count(slot, busy_seconds=monotonic() - began)
            with self._lock:
                del self._running[slot]

    def tallies(self) -> Mapping[UUID, AgentTally]:
        """What each agent has done that has done something, without the batch that it is at."""
        with self._lock:
            return {
                agent_id(self._process_id, self._pid, slot): AgentTally(
                    tasks_done=counts.done, tasks_failed=counts.failed, busy_seconds=counts.busy_seconds
                )
                for slot, counts in self._counts.items()
            }

    def _count(self, slot: int, *, done: int = 0, failed: int = 0, busy_seconds: float = 0.0) -> None:
        with self._lock:
            counts = self._counts[slot]
            counts.done += done
            counts.failed += failed
            counts.busy_seconds += busy_seconds
        self._tell(counts.done, counts.failed, counts.busy_seconds)

    def running(self) -> Mapping[UUID, AgentWork]:
        """What each agent runs that runs a batch now."""
        with self._lock:
            running = dict(self._running)
        return {agent_id(self._process_id, self._pid, slot): work for slot, work in running.items()}

    def begun(self) -> Mapping[UUID, int]:
        """How many batches each agent has begun; those that began none are left out."""
        with self._lock:
            begun = dict(self._begun)
        return {agent_id(self._process_id, self._pid, slot): number for slot, number in begun.items()}
