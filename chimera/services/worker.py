"""Running a batch: claim, run, stage."""

import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from chimera.errors import QueueUnavailable, StoreUnavailable
from chimera.failpoints import Failpoint, failpoint
from chimera.models.ids import IdKind, format_id
from chimera.models.work.agent import AgentWork
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.declaration import skill_declarations
from chimera.models.work.result import Result
from chimera.models.work.task import MAX_TIMEOUT_SECONDS, ClaimedTask
from chimera.models.work.timing import GIVE_BACK_SECONDS, LEASE_SECONDS
from chimera.models.work.wave import Batch, Dispatch, WaveRef
from chimera.ports.clock import Clock
from chimera.ports.queue import Queue
from chimera.ports.skill_runner import SkillRunner
from chimera.ports.skill_store import SkillStore
from chimera.ports.work_store import WorkStore
from chimera.services.agent_slots import AgentSlots, TakenSlot
from chimera.services.lease_keeper import Lease, LeaseKeeper
from chimera.services.task_runner import TaskRunner

log = structlog.get_logger(__name__)

# How long beyond the sum of its timeouts a batch's lease is kept: to claim, to stage, to import a skill's module.
MARGIN_SECONDS = 15.0
# A slow batch stages what it has this often: if its process dies, only the rest is run again.
STAGE_AFTER = timedelta(seconds=0.5)
# Results are computed once: while PostgreSQL is away, an agent keeps them for 120 s and tries to stage them again.
STAGE_FOR_SECONDS = 120.0


class WorkerService:
    """Runs the tasks whose lease it gets, as the agent whose slot is free, and stages what they bring."""

    def __init__(
        self,
        store: WorkStore,
        queue: Queue,
        keeper: LeaseKeeper,
        catalogue: Catalogue,
        clock: Clock,
        slots: AgentSlots,
        runner: SkillRunner,
        skills: SkillStore,
        *,
        stage_for_seconds: float = STAGE_FOR_SECONDS,
    ) -> None:
        self._store = store
        self._queue = queue
        self._keeper = keeper
        self._catalogue = catalogue
        self._clock = clock
        self._slots = slots
        self._skills = skills
        self._is_declared = False
        self._runner = TaskRunner(catalogue, clock, runner)
        self._draining = threading.Event()
        self._staging = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_exponential(multiplier=0.1, max=1.0),
            stop=stop_after_delay(stage_for_seconds),
            reraise=True,
        )

    def drain(self) -> None:
        """Has batches end after the task that runs: the rest of their tasks goes back to the queue."""
        self._draining.set()

    def run_batch(self, wave: WaveRef, task_ids: Sequence[UUID], timeout_seconds: float) -> int:
        """Runs those tasks that are free to run; returns how many results were staged.

        What a skill does never raises here: failures are results too.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; leases that are held run out.
        """
        if self._draining.is_set():
            return 0
        failpoint(Failpoint.WORK_RECEIVED, wave.tenant_id)
        work = AgentWork(**dict(wave), tasks=len(task_ids), since=self._clock.now())
        with self._slots.taken(work) as slot, bound_contextvars(agent_id=format_id(IdKind.AGENT, slot.agent_id)):
            return self._run_batch(slot, wave, task_ids, timeout_seconds)

    def _run_batch(self, slot: TakenSlot, wave: WaveRef, task_ids: Sequence[UUID], timeout_seconds: float) -> int:
        self._declare_once()
        token = self._clock.new_id()
        skills = self._catalogue.skills
        claimed = self._store.claim(wave, task_ids, slot.agent_id, token, LEASE_SECONDS, skills)
        if not claimed:
            if lacking := self._store.give_back(wave, task_ids, skills):
                # It has them, and gives them back: it may not run this tenant's.
                log.info("skill_lacking" if skills.keys().isdisjoint(lacking) else "level_lacking", skills=lacking)
                self._draining.wait(GIVE_BACK_SECONDS)
                return 0
            # A message that came twice or late, or one that somebody made up.
            log.info("nothing_to_claim", asked=len(task_ids))
            self._queue.note_refused("nothing_to_claim")
            return 0
        with bound_contextvars(trace_id=claimed[0].trace_id):
            return self._run_claimed(slot, wave, token, claimed, timeout_seconds)

    def _declare_once(self) -> None:
        """Sees that the versions are stored that results name: the worker may have started without PostgreSQL."""
        if self._is_declared:
            return
        skills = self._catalogue.skills.values()
        versions = {skill.fingerprint for skill in skills}
        if versions - self._skills.output_schemas(versions).keys():
            self._skills.declare(skill_declarations(skills), [])
        self._is_declared = True

    def _run_claimed(
        self, slot: TakenSlot, wave: WaveRef, token: UUID, claimed: Sequence[ClaimedTask], timeout_seconds: float
    ) -> int:
        failpoint(Failpoint.WORK_CLAIMED, wave.tenant_id)
        renew = partial(self._store.renew, wave, token, LEASE_SECONDS)
        with self._keeper.keeping(renew, timeout_seconds + MARGIN_SECONDS) as lease:
            staged, unstarted = self._work_off(slot, wave, token, claimed, lease)
            if unstarted and lease.held:
                self._hand_over(wave, token, unstarted, send=self._draining.is_set() or lease.may_start)
        failpoint(Failpoint.WORK_STAGED, wave.tenant_id)
        return staged

    def _hand_over(self, wave: WaveRef, token: UUID, tasks: Sequence[ClaimedTask], *, send: bool) -> None:
        """Gives tasks back that were not started, and sends them to the next worker: not those of a plan that holds."""
        ids = tuple(task.task_id for task in tasks)
        self._store.release(wave, token, ids)
        if send:
            batch = Batch(task_ids=ids, timeout_seconds=sum(task.timeout_seconds for task in tasks))
            with suppress(QueueUnavailable):  # the sweep finds them too, some seconds later
                self._queue.publish_wave(Dispatch(wave=wave, batches=(batch,)))

    def _work_off(
        self, slot: TakenSlot, wave: WaveRef, token: UUID, claimed: Sequence[ClaimedTask], lease: Lease
    ) -> tuple[int, Sequence[ClaimedTask]]:
        """Runs the tasks; returns how many results are staged, and the tasks that were not started."""
        started: set[UUID] = set()
        began = self._clock.now()

        def may_start(task: ClaimedTask) -> bool:
            if self._draining.is_set() or not lease.may_start:
                return False
            # The first may always: its timeout is no longer than the broker waits.
            if started and self._ends_too_late(task, began):
                return False
            started.add(task.task_id)
            return True

        staged = 0
        ready: list[Result] = []
        staged_at = began
        with closing(self._runner.run(wave, claimed, may_start, lease.ending_with)) as results:
            for result, failed in results:
                if not lease.held:
                    break  # the call was ended because nobody wants its result any more
                slot.count(failed=failed)
                ready.append(result)
                failpoint(Failpoint.WORK_RAN_ONE, wave.tenant_id)
                if result.finished_at - staged_at >= STAGE_AFTER:
                    staged += self._stage(slot.agent_id, wave, token, ready)
                    ready, staged_at = [], self._clock.now()
        staged += self._stage(slot.agent_id, wave, token, ready) if ready else 0
        return staged, [task for task in claimed if task.task_id not in started]

    def _ends_too_late(self, task: ClaimedTask, began: datetime) -> bool:
        """Whether it could still run when the broker gives the batch's message to another worker."""
        elapsed = (self._clock.now() - began).total_seconds()
        return elapsed + task.timeout_seconds > MAX_TIMEOUT_SECONDS

    def _stage(self, agent_id: UUID, wave: WaveRef, token: UUID, results: Sequence[Result]) -> int:
        failpoint(Failpoint.WORK_RAN, wave.tenant_id)
        staged = self._staging.copy()(self._store.stage, wave, agent_id, token, results)
        if staged < len(results):
            log.warning("stale_results_refused", refused=len(results) - staged)
        return staged
