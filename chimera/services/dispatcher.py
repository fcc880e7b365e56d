"""Sending a tenant's next waves."""

from collections.abc import Callable, Set
from time import monotonic

import structlog

from chimera.errors import QueueUnavailable
from chimera.failpoints import Failpoint, failpoint
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.cutting import Cutting
from chimera.models.work.wave import Dispatch, WaveRef
from chimera.models.work.workforce import Workforce
from chimera.ports.agent_registry import AgentRegistry
from chimera.ports.queue import Queue
from chimera.ports.wave_store import WaveStore
from chimera.services.log_ids import wave_ids

log = structlog.get_logger(__name__)

_WORKFORCE_KEPT_SECONDS = 2.0


class Dispatcher:
    """Keeps a window of a tenant's waves in flight."""

    def __init__(
        self, store: WaveStore, queue: Queue, agents: AgentRegistry, catalogue: Catalogue, *, window: int
    ) -> None:
        self._store = store
        self._queue = queue
        self._agents = agents
        self._catalogue = catalogue
        self._window = window
        self._workforce = Workforce()
        self._workforce_until = 0.0

    def dispatch(self, tenant_id: str) -> int:
        """Publishes every wave that may go out now; returns how many were.

        Where the broker does not answer, the waves stay unpublished in the store for the sweep.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        outgoing = self._store.take_next(tenant_id, self._window)
        if not outgoing:
            return 0
        failpoint(Failpoint.DISPATCH_TAKEN, tenant_id)
        skills = {task.skill for wave in outgoing for task in wave.tasks}
        max_batch = self._max_batch(skills)
        sent: list[WaveRef] = []
        waiting: set[WaveRef] = set()
        epoch = ""
        try:
            # Before anything is sent: if the broker forgets it now, it was sent in an epoch that is over.
            epoch = self._queue.epoch()
            cutting = Cutting(tenant_id, self._known_workforce(tenant_id, skills), max_batch)
            for wave in outgoing:
                cut, all_sent = cutting.cut(wave.tasks)
                if cut:
                    self._queue.publish_wave(Dispatch(wave=wave.wave, batches=cut))
                if wave.judge:
                    self._queue.publish_judge(wave.wave)
                sent.append(wave.wave)
                log.info("wave_sent", **wave_ids(wave.wave, wave.trace_id), tasks=len(wave.tasks), batches=len(cut))
                if not all_sent:
                    waiting.add(wave.wave)
                failpoint(Failpoint.DISPATCH_PUBLISHED_ONE, tenant_id)
        except QueueUnavailable:
            for wave in outgoing[len(sent) :]:
                log.warning("wave_not_published", **wave_ids(wave.wave, wave.trace_id))
        failpoint(Failpoint.DISPATCH_PUBLISHED, tenant_id)
        if sent:
            self._store.mark_published(sent, epoch, waiting)
        failpoint(Failpoint.DISPATCH_MARKED, tenant_id)
        return len(sent)

    def ask_planner(self, wave: WaveRef, trace_id: str | None) -> None:
        """Has the planner say what is done about the wave's tasks that wait for it.

        Where the broker does not answer, the sweep asks.
        """
        self._publish("replan_not_published", wave, trace_id, self._queue.publish_replan)

    def ask_judge(self, wave: WaveRef, trace_id: str | None) -> None:
        """Has the Judge decide on what of the wave waits for it; where the broker does not answer, the sweep asks."""
        self._publish("judge_not_published", wave, trace_id, self._queue.publish_judge)

    @staticmethod
    def _publish(event: str, wave: WaveRef, trace_id: str | None, publish: Callable[[WaveRef], None]) -> None:
        try:
            publish(wave)
        except QueueUnavailable:
            log.warning(event, **wave_ids(wave, trace_id))

    def _max_batch(self, skills: Set[str]) -> Callable[[str], int]:
        """The batch sizes of skills: as this process declares them; else as a worker did; else 1."""
        unknown = skills - self._catalogue.skills.keys()
        declared = self._store.max_batches(unknown) if unknown else {}
        return lambda skill: declared.get(skill) or self._catalogue.max_batch(skill)

    def _known_workforce(self, tenant_id: str, skills: Set[str]) -> Workforce:
        """As it was a moment ago; asked for anew where a skill was missing then."""
        known = self._workforce.skills(tenant_id)
        if monotonic() >= self._workforce_until or (known is not None and not known.issuperset(skills)):
            self._workforce = self._agents.workforce()
            self._workforce_until = monotonic() + _WORKFORCE_KEPT_SECONDS
        return self._workforce


class SweepDispatches(Dispatcher):
    """Sends nothing: that of a process whose login at the broker reaches no more than its own list. The sweep sends."""

    def __init__(self) -> None:
        pass

    def dispatch(self, tenant_id: str) -> int:  # noqa: ARG002
        """None."""
        return 0

    def ask_planner(self, wave: WaveRef, trace_id: str | None) -> None:
        """Nothing: the sweep asks."""

    def ask_judge(self, wave: WaveRef, trace_id: str | None) -> None:
        """Nothing: the sweep asks."""
