"""The agents of one operating-system process: who runs what in it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from threading import Lock
from uuid import UUID

from chimera.models.work.agent import AgentWork, agent_id


class AgentSlots:
    """Gives each batch that runs here the lowest free slot, and with it an agent's id; safe between threads."""

    def __init__(self, process_id: UUID, pid: int) -> None:
        """Begins with every slot free.

        Args:
            process_id: the worker's main process, which beats for these agents.
            pid: this operating-system process, which may be a pool child of it.
        """
        self._process_id = process_id
        self._pid = pid
        self._lock = Lock()
        self._running: dict[int, AgentWork] = {}
        self._begun: Counter[int] = Counter()

    @contextmanager
    def taken(self, work: AgentWork) -> Iterator[UUID]:
        """Holds a slot while the batch runs; yields the agent's id."""
        with self._lock:
            slot = next(number for number in count() if number not in self._running)
            self._running[slot] = work
            self._begun[slot] += 1
        try:
            yield agent_id(self._process_id, self._pid, slot)
        finally:
            with self._lock:
                del self._running[slot]

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
