"""Running a batch: claim, run, stage."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chimera.errors import UnknownSkill
from chimera.models.agent import AgentWork
from chimera.models.record import canonical_json, sha256
from chimera.models.result import NO_USAGE, FailureOutcome, Result, Usage
from chimera.models.skill import Catalogue
from chimera.models.task import ClaimedTask
from chimera.models.wave import WaveRef
from chimera.ports.clock import Clock
from chimera.ports.work_store import WorkStore
from chimera.services.agent_slots import AgentSlots
from chimera.services.execution import execute

log = structlog.get_logger(__name__)

# Beyond the sum of the timeouts of a batch: the time to claim, to stage, and to start a skill's module.
LEASE_MARGIN_SECONDS = 15.0


class WorkerService:
    """Runs the tasks whose lease it gets, as the agent whose slot is free, and stages what they bring."""

    def __init__(
        self, store: WorkStore, catalogue: Catalogue, clock: Clock, slots: AgentSlots, *, max_output_bytes: int
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._slots = slots
        self._max_output_bytes = max_output_bytes

    def run_batch(self, wave: WaveRef, task_ids: Sequence[UUID], timeout_seconds: float) -> int:
        """Runs those tasks that are free to run; returns how many results were staged.

        What a skill does never raises here: failures are results too.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; leases that are held run out.
        """
        work = AgentWork(**dict(wave), tasks=len(task_ids), since=self._clock.now())
        with self._slots.taken(work) as agent_id:
            return self._run_batch(agent_id, wave, task_ids, timeout_seconds)

    def _run_batch(self, agent_id: UUID, wave: WaveRef, task_ids: Sequence[UUID], timeout_seconds: float) -> int:
        token = self._clock.new_id()
        lease_seconds = timeout_seconds + LEASE_MARGIN_SECONDS
        claimed = self._store.claim(wave, task_ids, agent_id, token, lease_seconds)
        if not claimed:
            return 0
        results = [self._run(task) for task in claimed]
        staged = self._store.stage(wave, agent_id, token, results)
        if staged < len(results):
            log.warning("stale_results_dropped", dropped=len(results) - staged)
        return staged

    def _run(self, task: ClaimedTask) -> Result:
        started_at = self._clock.now()
        outcome, usage = self._outcome(task)
        return Result(
            task_id=task.task_id,
            attempt=task.attempt,
            outcome=outcome,
            sha256=sha256(outcome),
            usage=usage,
            started_at=started_at,
            finished_at=self._clock.now(),
        )

    def _outcome(self, task: ClaimedTask) -> tuple[str, Usage]:
        if task.unmet_dependencies:
            count = len(task.unmet_dependencies)
            return _refusal("dependency_not_approved", f"{count} of the tasks it depends on were not approved")
        try:
            skill = self._catalogue.skill(task.skill)
        except UnknownSkill as exc:
            return _refusal("unknown_skill", str(exc))
        return execute(skill, task.input, task.timeout_seconds, self._max_output_bytes)


def _refusal(code: str, message: str) -> tuple[str, Usage]:
    outcome = FailureOutcome(code=code, message=message, retryable=False)
    return canonical_json(outcome.model_dump(mode="json")), NO_USAGE
