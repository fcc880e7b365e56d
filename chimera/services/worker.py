"""Running a batch: claim, run, stage."""

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from chimera.errors import QueueUnavailable, StoreUnavailable
from chimera.failpoints import Failpoint, failpoint
from chimera.models.record import canonical_json, sha256
from chimera.models.work.agent import AgentWork
from chimera.models.work.context import REASONS, TaskContext
from chimera.models.work.result import NO_USAGE, FailureOutcome, Result, Usage
from chimera.models.work.skill import Catalogue
from chimera.models.work.task import ClaimedTask
from chimera.models.work.timing import GIVE_BACK_SECONDS, LEASE_SECONDS
from chimera.models.work.wave import Batch, Dispatch, WaveRef
from chimera.ports.clock import Clock
from chimera.ports.queue import Queue
from chimera.ports.work_store import WorkStore
from chimera.services.agent_slots import AgentSlots
from chimera.services.execution import execute
from chimera.services.lease_keeper import Lease, LeaseKeeper
from chimera.services.task_context import running

log = structlog.get_logger(__name__)

# How long beyond the sum of its timeouts a batch's lease is kept: to claim, to stage, to import a skill's module.
MARGIN_SECONDS = 15.0
# A slow batch stages what it has this often: if its process dies, only the rest is run again.
STAGE_AFTER = timedelta(seconds=0.5)
# Results are computed once: for so long they are kept while PostgreSQL is away, and staging them is tried again.
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
        *,
        max_output_bytes: int,
        stage_for_seconds: float = STAGE_FOR_SECONDS,
    ) -> None:
        self._store = store
        self._queue = queue
        self._keeper = keeper
        self._catalogue = catalogue
        self._clock = clock
        self._slots = slots
        self._max_output_bytes = max_output_bytes
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
        with self._slots.taken(work) as agent_id:
            return self._run_batch(agent_id, wave, task_ids, timeout_seconds)

    def _run_batch(self, agent_id: UUID, wave: WaveRef, task_ids: Sequence[UUID], timeout_seconds: float) -> int:
        token = self._clock.new_id()
        skills = self._catalogue.skills
        claimed = self._store.claim(wave, task_ids, agent_id, token, LEASE_SECONDS, skills)
        if not claimed:
            if lacking := self._store.give_back(wave, task_ids, skills):
                log.info("skill_lacking", skills=lacking)
                self._draining.wait(GIVE_BACK_SECONDS)
                return 0
            # A message that came twice or late, or one that somebody made up.
            log.info("nothing_to_claim", asked=len(task_ids))
            self._queue.note_refused("nothing_to_claim")
            return 0
        failpoint(Failpoint.WORK_CLAIMED, wave.tenant_id)
        renew = partial(self._store.renew, wave, token, LEASE_SECONDS)
        with self._keeper.keeping(renew, timeout_seconds + MARGIN_SECONDS) as lease:
            staged, unstarted = self._work_off(agent_id, wave, token, claimed, lease)
            if unstarted and lease.held:
                self._hand_over(wave, token, unstarted)
        failpoint(Failpoint.WORK_STAGED, wave.tenant_id)
        return staged

    def _hand_over(self, wave: WaveRef, token: UUID, tasks: Sequence[ClaimedTask]) -> None:
        """Gives tasks back that were not started, and where it is this worker that ends, to the next one."""
        ids = tuple(task.task_id for task in tasks)
        self._store.release(wave, token, ids)
        if self._draining.is_set():
            batch = Batch(task_ids=ids, timeout_seconds=sum(task.timeout_seconds for task in tasks))
            with suppress(QueueUnavailable):  # the sweep finds them too, some seconds later
                self._queue.publish_wave(Dispatch(wave=wave, batches=(batch,)))

    def _work_off(
        self, agent_id: UUID, wave: WaveRef, token: UUID, claimed: Sequence[ClaimedTask], lease: Lease
    ) -> tuple[int, Sequence[ClaimedTask]]:
        """Runs task after task; returns how many results are staged, and the tasks that were not started."""
        staged, started = 0, 0
        ready: list[Result] = []
        for task in claimed:
            if self._draining.is_set() or not lease.may_start:
                break
            started += 1
            result = self._run(wave, task, lease)
            if not lease.held:
                break  # the call was ended because nobody wants its result any more
            ready.append(result)
            failpoint(Failpoint.WORK_RAN_ONE, wave.tenant_id)
            if result.finished_at - ready[0].started_at >= STAGE_AFTER:
                staged += self._stage(agent_id, wave, token, ready)
                ready = []
        return staged + (self._stage(agent_id, wave, token, ready) if ready else 0), claimed[started:]

    def _stage(self, agent_id: UUID, wave: WaveRef, token: UUID, results: Sequence[Result]) -> int:
        failpoint(Failpoint.WORK_RAN, wave.tenant_id)
        staged = self._staging.copy()(self._store.stage, wave, agent_id, token, results)
        if staged < len(results):
            log.warning("stale_results_refused", refused=len(results) - staged)
        return staged

    def _run(self, wave: WaveRef, task: ClaimedTask, lease: Lease) -> Result:
        started_at = self._clock.now()
        outcome, usage = self._outcome(wave, task, lease)
        return Result(
            task_id=task.task_id,
            attempt=task.attempt,
            outcome=outcome,
            sha256=sha256(outcome),
            usage=usage,
            started_at=started_at,
            finished_at=self._clock.now(),
        )

    def _outcome(self, wave: WaveRef, task: ClaimedTask, lease: Lease) -> tuple[str, Usage]:
        if task.unmet_dependencies:
            count = len(task.unmet_dependencies)
            return _refusal("dependency_not_approved", f"{count} of the tasks it depends on were not approved")
        skill = self._catalogue.skill(task.skill)
        with running(_context(wave, task)):
            return execute(skill, task.input, task.timeout_seconds, self._max_output_bytes, lease.ending_with)


def _context(wave: WaveRef, task: ClaimedTask) -> TaskContext:
    return TaskContext(
        tenant_id=wave.tenant_id,
        plan_id=wave.plan_id,
        task_id=task.task_id,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        feedback=() if task.feedback is None else REASONS.validate_json(task.feedback, strict=False),
        state_key=task.state_key,
        state_value=None if task.state_value is None else json.loads(task.state_value),
        state_version=task.state_version,
    )


def _refusal(code: str, message: str) -> tuple[str, Usage]:
    outcome = FailureOutcome(code=code, message=message, retryable=False)
    return canonical_json(outcome.model_dump(mode="json")), NO_USAGE
