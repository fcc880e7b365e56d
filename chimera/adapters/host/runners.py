"""Running skills and planners in hosts: what those answer is looked at before anybody believes it."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import structlog

from chimera.adapters.host.answers import Broken, Drafted, Plan, Ran, Rejected, Replan, ReplannedTo, Run
from chimera.adapters.host.hosts import HostLost, Hosts
from chimera.models.ids import IdKind, format_id
from chimera.models.record import Record, canonical_json
from chimera.models.work.draft import Draft
from chimera.models.work.result import FailureOutcome, read_outcome
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.ports import planner_runner, skill_runner
from chimera.ports.plan_store import PlanningJob
from chimera.ports.planner_runner import PlanRejected
from chimera.ports.replan_store import ReplanJob, Replanned
from chimera.ports.skill_runner import EndingWith, Outcome

log = structlog.get_logger(__name__)

# A failure's message and code may have this where outputs may have less.
_MOST_OF_A_FAILURE = 1 << 16


class SkillRunner(skill_runner.SkillRunner):
    """Runs skills in hosts."""

    def __init__(self, hosts: Hosts, max_output_bytes: int) -> None:
        self._hosts = hosts
        self._max_output_bytes = max_output_bytes

    def run(self, wave: WaveRef, task: ClaimedTask, ending_with: EndingWith) -> Outcome:
        """Has the tenant's host run it."""
        return dict(self._run(wave, [task], ending_with, together=False))[0]

    def run_together(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith
    ) -> Iterator[tuple[int, Outcome]]:
        """Has the tenant's host run them at the same time."""
        yield from self._run(wave, tasks, ending_with, together=True)

    def _run(
        self, wave: WaveRef, tasks: Sequence[ClaimedTask], ending_with: EndingWith, *, together: bool
    ) -> Iterator[tuple[int, Outcome]]:
        places = {task.task_id: place for place, task in enumerate(tasks)}
        named = frozenset(format_id(IdKind.TASK, task.task_id) for task in tasks)
        question = Run(wave=wave, tasks=tuple(tasks), together=together)
        seconds = max(task.timeout_seconds for task in tasks)
        failure = Outcome.of_failure("host_broke", "the process that ran it did not answer", retryable=True)
        try:
            with contextlib.closing(self._hosts.ask(wave.tenant_id, question, seconds, ending_with, named)) as answers:
                for answer in answers:
                    place, outcome = self._checked(answer, tasks, places)
                    del places[tasks[place].task_id]
                    yield place, outcome
        except HostLost as exc:
            log.warning("host_ended", code=exc.code)
            failure = Outcome.of_failure(exc.code, str(exc), retryable=True)
        for place in places.values():
            yield place, failure

    def _checked(self, answer: Record, tasks: Sequence[ClaimedTask], places: Mapping[UUID, int]) -> tuple[int, Outcome]:
        """An outcome that can be staged, in the form that is hashed, of a task that waits for one."""
        place = places.get(answer.task_id) if isinstance(answer, Ran) else None
        if not isinstance(answer, Ran) or place is None or answer.attempt != tasks[place].attempt:
            raise HostLost("host_broke", "the process that ran it answered for another task")
        try:
            outcome = read_outcome(answer.text)
            text = canonical_json(outcome.model_dump(mode="json"))
        except (ValueError, TypeError, RecursionError) as exc:
            raise HostLost("host_broke", "the process that ran it answered no outcome") from exc
        if len(text) > max(self._max_output_bytes, _MOST_OF_A_FAILURE):
            raise HostLost("host_broke", "the process that ran it answered more than an output may have")
        return place, Outcome(text, answer.usage, failed=isinstance(outcome, FailureOutcome))


class PlannerRunner(planner_runner.PlannerRunner):
    """Runs planners and their hooks in hosts."""

    def __init__(self, hosts: Hosts, timeout_seconds: float, max_tasks: int) -> None:
        self._hosts = hosts
        self._timeout_seconds = timeout_seconds
        self._max_tasks = max_tasks

    def drafts(self, tenant_id: str, job: PlanningJob, ending_with: EndingWith, /) -> list[Draft]:
        """Has the tenant's host plan."""
        drafts: list[Draft] = []
        for answer in self._ask(tenant_id, Plan(job=job, timeout_seconds=self._timeout_seconds), ending_with):
            if not isinstance(answer, Drafted) or len(drafts) + len(answer.drafts) > self._max_tasks:
                raise PlanRejected("host_broke", "the process that planned answered what it must not")
            for draft in answer.drafts:
                if any(not 0 <= place < len(drafts) for place in draft.before):
                    raise PlanRejected("host_broke", "the process that planned answered what it must not")
                drafts.append(draft)
        return drafts

    def replanned(self, tenant_id: str, job: ReplanJob, ending_with: EndingWith, /) -> Replanned | None:
        """Has the tenant's host ask the hook."""
        for answer in self._ask(tenant_id, Replan(job=job, timeout_seconds=self._timeout_seconds), ending_with):
            if isinstance(answer, ReplannedTo):
                return answer.replanned
        raise PlanRejected("host_broke", "the process that planned did not answer")

    def _ask(self, tenant_id: str, question: Record, ending_with: EndingWith) -> Iterator[Record]:
        try:
            for answer in self._hosts.ask(tenant_id, question, self._timeout_seconds, ending_with):
                if isinstance(answer, Rejected):
                    raise PlanRejected(answer.failure.code, answer.failure.message)
                if isinstance(answer, Broken):
                    raise PlanRejected("host_broke", "the project's modules cannot be imported")
                yield answer
        except HostLost as exc:
            code = "planner_timeout" if exc.code == "timeout" else "planner_lost"
            raise PlanRejected(code, f"the planner: {exc}") from exc
