"""A worker's part that beats for its agents, and stops taking work when it is told to drain."""

import os
import select
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from celery import bootsteps, signals
from celery.concurrency.prefork import TaskPool as Prefork
from celery.worker.request import Request
from celery.worker.state import active_requests

from chimera.adapters.celery.agent_watch import AgentWatch, Sight
from chimera.adapters.celery.messages import WORK, BatchArguments
from chimera.adapters.celery.queue_names import TENANT_QUEUE_PREFIX, named_queues
from chimera.errors import QueueUnavailable
from chimera.models.work.agent import BEAT_SECONDS, AgentMetrics, AgentTally, AgentWork, ProcessBeat, agent_id
from chimera.ports.agent_registry import AgentRegistry

log = structlog.get_logger(__name__)

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class WorkerProcess:
    """What the bootstep needs of its process; asked for when the worker starts."""

    # The worker's main process.
    process_id: UUID
    registry: AgentRegistry
    # The names of the skills that agents here can run.
    skills: Callable[[], tuple[str, ...]]
    planners: Callable[[], tuple[str, ...]]
    # What the agents of this very operating-system process run, and how many batches they have begun: those of
    # pools other than prefork.
    running: Callable[[], Mapping[UUID, AgentWork]]
    begun: Callable[[], Mapping[UUID, int]]
    tallies: Callable[[], Mapping[UUID, AgentTally]]
    # What a pool child has done, by its number in the pool and its process id.
    tally_of_child: Callable[[int | None, int], AgentTally]


def agents_step(process: Callable[[], WorkerProcess]) -> type["Agents"]:
    """The bootstep for the workers of this process."""

    class AgentsOfProcess(Agents):
        """Beats for the agents of a worker of this process."""

        def _process(self) -> WorkerProcess:
            return process()

    return AgentsOfProcess


def runs_batches(worker: Any) -> bool:
    """Whether a worker runs batches: it was started without -Q, or that names a tenant's queue."""
    named = named_queues(worker.app)
    return named is None or any(queue.startswith(TENANT_QUEUE_PREFIX) for queue in named)


class Agents(bootsteps.StartStopStep):
    """Beats in a thread of its own: neither a busy event loop nor a child that holds its interpreter's lock delays it.

    The main process beats for its pool children, since it alone can tell a dead child from a busy one. A worker
    that consumes no tenant's queue runs no batches, so has no agents and no beats.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        # Read by TenantQueues, in the event loop.
        worker.drain = Event()
        self._beats: Beats | None = None

    def include_if(self, worker: Any) -> bool:
        """Whether this worker runs batches: without -Q, or where it names a tenant's queue."""
        return runs_batches(worker)

    def start(self, worker: Any) -> None:
        """Begins to beat, at once and then every BEAT_SECONDS."""
        self._beats = Beats(worker, self._process())
        self._beats.start()
        signals.worker_shutdown.connect(self._goodbye, sender=worker, weak=False)

    def stop(self, _worker: Any) -> None:
        """Takes no more work; beats until the pool has finished what it runs."""
        if self._beats is not None:
            self._beats.finish()

    def terminate(self, worker: Any) -> None:
        """Says goodbye: what runs now is killed."""
        self._goodbye(worker)

    def _process(self) -> WorkerProcess:
        raise NotImplementedError

    def _goodbye(self, sender: Any, **_: Any) -> None:
        beats, self._beats = self._beats, None
        signals.worker_shutdown.disconnect(self._goodbye, sender=sender)
        if beats is not None:
            beats.end()


class Beats(Thread):
    """Tells the registry every BEAT_SECONDS what the worker's agents do."""

    def __init__(self, worker: Any, process: WorkerProcess) -> None:
        super().__init__(name="chimera-agents", daemon=True)
        self._worker = worker
        self._process = process
        self._watch = AgentWatch()
        self._started_at = datetime.now(UTC)
        named = named_queues(worker.app)
        own = (queue for queue in sorted(named or ()) if queue.startswith(TENANT_QUEUE_PREFIX))
        self._tenants = None if named is None else tuple(queue.removeprefix(TENANT_QUEUE_PREFIX) for queue in own)
        self._finishing = Event()
        self._ended = Event()
        self._heard = True
        self._sights = (
            _of_children(worker, process) if isinstance(worker.pool, Prefork) else _of_threads(worker, process)
        )

    def run(self) -> None:
        """Beats until the end, also after a beat that failed."""
        while not self._ended.is_set():
            began = monotonic()
            self._beat()
            self._ended.wait(max(0.0, BEAT_SECONDS - (monotonic() - began)))

    def finish(self) -> None:
        """From now on the worker takes no work."""
        self._finishing.set()

    def end(self) -> None:
        """The last beat has been; says goodbye."""
        self._ended.set()
        self.join(2 * BEAT_SECONDS)
        try:
            self._process.registry.leave(self._process.process_id)
        except QueueUnavailable as exc:
            log.warning("agents_left_unheard", error=str(exc))

    def _beat(self) -> None:
        try:
            self._tell()
        except QueueUnavailable as exc:
            if self._heard:
                log.warning("agents_not_heard", error=str(exc))
            self._heard = False
        except Exception:
            # Without its beats a worker that works well would be taken for dead.
            log.exception("agents_beat_failed")
        else:
            if not self._heard:
                log.info("agents_heard_again")
            self._heard = True

    def _tell(self) -> None:
        drain, finishing = self._worker.drain, self._finishing.is_set()
        beat = ProcessBeat(
            process_id=self._process.process_id,
            node=self._worker.hostname,
            tenants=self._tenants,
            skills=self._process.skills(),
            planners=self._process.planners(),
            started_at=self._started_at,
            draining=drain.is_set() or finishing,
            slots=self._watch.look(self._sights(), monotonic()),
        )
        if finishing:
            self._process.registry.register(beat)
        elif self._process.registry.heartbeat(beat) != drain.is_set():
            (drain.clear if drain.is_set() else drain.set)()
            log.info("agents_drain" if drain.is_set() else "agents_work_again", node=beat.node)


Sights = Callable[[], Iterator[Sight]]


def _of_threads(worker: Any, process: WorkerProcess) -> Sights:
    """The agents of a pool that executes in this process: threads, solo, gevent."""
    pid = os.getpid()

    def sights() -> Iterator[Sight]:
        running, begun, tallies = process.running(), process.begun(), process.tallies()
        memory = _memory_bytes(pid)
        for slot in range(worker.pool.num_processes):
            agent = agent_id(process.process_id, pid, slot)
            work = running.get(agent)
            metrics = _metrics(tallies.get(agent, AgentTally()), work, memory)
            yield Sight(agent, pid, work, begun.get(agent, 0), metrics)

    return sights


def _of_children(worker: Any, process: WorkerProcess) -> Sights:
    """The agents of a prefork pool: one for each child that is there."""
    # By child: its latest batch, with what is said of it, and how many it has begun.
    accepted: dict[int, tuple[Request, AgentWork | None]] = {}
    begun: dict[int, int] = {}

    class NotedRequest(Request):
        """Notes which child took it: a request that is over before the next beat is seen too."""

        def on_accepted(self, pid: Any, time_accepted: float) -> None:
            super().on_accepted(pid, time_accepted)
            accepted[pid] = (self, _work(self))
            begun[pid] = begun.get(pid, 0) + 1

    # The consumer reads it when it starts, which is after this.
    worker.app.tasks[WORK.task].Request = NotedRequest

    def sights() -> Iterator[Sight]:
        # Before the children are listed: one that starts now is no child that is gone.
        known, pool = set(begun), worker.pool._pool
        children = _living(list(pool._pool)) if pool is not None else {}
        for gone in known - children.keys():
            accepted.pop(gone, None)
            begun.pop(gone, None)
        for pid, number in children.items():
            request, work = accepted.get(pid, (None, None))
            running = work if request is not None and request in active_requests else None
            metrics = _metrics(process.tally_of_child(number, pid), running, _memory_bytes(pid))
            yield Sight(agent_id(process.process_id, pid, 0), pid, running, begun.get(pid, 0), metrics)

    return sights


def _metrics(tally: AgentTally, running: AgentWork | None, memory_bytes: int | None) -> AgentMetrics:
    """What an agent has done, with the batch that it is at."""
    since = 0.0 if running is None else max(0.0, (datetime.now(UTC) - running.since).total_seconds())
    busy = round(tally.busy_seconds + since, 3)
    return AgentMetrics(**dict(tally) | {"busy_seconds": busy}, memory_bytes=memory_bytes)


def _memory_bytes(pid: int) -> int | None:
    """The resident memory of a process: the second number of Linux's /proc/PID/statm, in pages."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None


def _living(children: list[Any]) -> dict[int, int | None]:
    """The pool children that live: process ids, and numbers. The pool itself looks for dead ones every 5 s only."""
    ended = select.poll()
    sentinels: dict[int, Any] = {}
    for child in children:
        try:
            sentinels[child.sentinel] = child
            ended.register(child.sentinel, select.POLLIN)
        except (ValueError, TypeError, AttributeError):
            continue  # not started yet, or cleaned up just now
    gone = {sentinel for sentinel, _ in ended.poll(0)}
    return {child.pid: getattr(child, "index", None) for place, child in sentinels.items() if place not in gone}


def _work(request: Request) -> AgentWork | None:
    """What a batch's message is about; None where its arguments are not those of a batch."""
    try:
        batch = BatchArguments(*request.args)
        return AgentWork(
            tenant_id=batch.tenant_id,
            plan_id=UUID(batch.plan_id),
            wave_no=batch.wave_no,
            tasks=len(batch.task_ids),
            since=datetime.fromtimestamp(request.time_start or 0.0, UTC),
        )
    except (TypeError, ValueError, AttributeError):
        # Any writer to the broker can send anything; it must not end the worker.
        return None
