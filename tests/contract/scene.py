"""One tenant's way through the stores, in the steps that a test's story is told in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from chimera.models.audit.audit import AuditEntry
from chimera.models.audit.erasure import Erasure
from chimera.models.gate.deciding import Decided, NewCard, StateWrite, WaveDecision
from chimera.models.gate.gate import Staged, lease_lost, state_conflict
from chimera.models.gate.policy import BUILT_IN
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.record import canonical_json, sha256
from chimera.models.work.decision import Decision, Reason, Ruling, Verdict
from chimera.models.work.lease import LostLease
from chimera.models.work.plan import Plan, PlanChange, PlanRequest, PlanState
from chimera.models.work.replan import planner_gave_up
from chimera.models.work.result import FailureOutcome, Result, SuccessOutcome
from chimera.models.work.retry import RetryKind, draft_retry
from chimera.models.work.task import ClaimedTask, Task, TaskState
from chimera.models.work.wave import Wave, WaveRef
from chimera.ports.card_store import CardDecision, CardEdit
from chimera.ports.control_store import Retried, Retry
from chimera.ports.decision_store import GivenUpTask
from chimera.ports.plan_store import Submitted, TaskResult
from chimera.ports.replan_store import ReplanJob
from tests.contract.worlds import World

EPOCH = "run/key"
# Those that the tests' tasks have.
SKILLS = ("cheap", "echo", "first", "second", "shout")
PLANNERS = ("p", "q", "triage")
POLICY = BUILT_IN.version

Says = Callable[[Staged], WaveDecision]


@dataclass(frozen=True)
class Planned:
    """A plan with tasks, and where to find them."""

    plan_id: UUID
    waves: tuple[WaveRef, ...]
    tasks: tuple[Task, ...]

    @property
    def wave(self) -> WaveRef:
        return self.waves[0]

    @property
    def ids(self) -> list[UUID]:
        return [task.task_id for task in self.tasks]

    def ids_of(self, wave: WaveRef) -> list[UUID]:
        return [task.task_id for task in self.tasks if task.wave_no == wave.wave_no]


@dataclass(frozen=True)
class Claim:
    """What an agent got, with the token of its lease."""

    wave: WaveRef
    token: UUID
    tasks: tuple[ClaimedTask, ...]

    @property
    def ids(self) -> list[UUID]:
        return [task.task_id for task in self.tasks]


class Look(NamedTuple):
    """What the sweep found a wave to need."""

    judge: bool
    again: bool  # it is sent again


class Scene:
    def __init__(self, world: World, tenant_id: str) -> None:
        self.world = world
        self.tenant_id = tenant_id
        self.agent_id = world.clock.new_id()

    # What a submitter does.

    def request(self, **fields: Any) -> PlanRequest:
        values = {"planner": "p", "goal": "g", "inputs": {"n": 1}, "trace_id": "trace"} | fields
        return PlanRequest(tenant_id=self.tenant_id, **values)

    def submit(self, **fields: Any) -> UUID:
        return self.submitted(**fields).plan_id

    def submitted(self, **fields: Any) -> Submitted:
        return self.world.plans.submit(self.world.clock.new_id(), self.request(**fields))

    def plan(
        self,
        *sizes: int,
        dependent: bool = False,
        state_key: str | None = None,
        max_attempts: int = 3,
        has_replan: bool = False,
        **fields: Any,
    ) -> Planned:
        """A plan that is planned: waves of these sizes; `dependent` makes each task need all of the wave before."""
        plan_id = self.submit(**fields)
        token = self.begin(plan_id)
        tasks: list[Task] = []
        for wave_no, size in enumerate(sizes):
            before = tuple(task.task_id for task in tasks if dependent and task.wave_no == wave_no - 1)
            for _ in range(size):
                task = self.task(
                    plan_id,
                    ordinal=len(tasks),
                    wave_no=wave_no,
                    depends_on=before,
                    state_key=state_key,
                    max_attempts=max_attempts,
                )
                tasks.append(task)
        waves = [
            Wave(wave_no=wave_no, task_count=size, has_dependencies=dependent and wave_no > 0)
            for wave_no, size in enumerate(sizes)
        ]
        assert self.world.plans.save_tasks(self.tenant_id, plan_id, token, waves, tasks, has_replan=has_replan)
        refs = tuple(self.wave(plan_id, wave.wave_no) for wave in waves)
        return Planned(plan_id, refs, tuple(tasks))

    def task(self, plan_id: UUID, **fields: Any) -> Task:
        values: dict[str, Any] = {
            "tenant_id": self.tenant_id,
            "plan_id": plan_id,
            "task_id": self.world.clock.new_id(),
            "ordinal": 0,
            "wave_no": 0,
            "skill": "echo",
            "input": '{"text":"hello"}',
            "priority": 50,
            "timeout_seconds": 10.0,
            "max_attempts": 3,
        }
        return Task(**values | fields)

    def wave(self, plan_id: UUID, wave_no: int = 0) -> WaveRef:
        return WaveRef(tenant_id=self.tenant_id, plan_id=plan_id, wave_no=wave_no)

    def begin(self, plan_id: UUID, lease_seconds: float = 60.0) -> UUID:
        """Takes the plan's lease; returns its token."""
        token = self.world.clock.new_id()
        assert self.world.plans.begin_planning(self.tenant_id, plan_id, token, lease_seconds, PLANNERS)
        return token

    def stop(self, plan_id: UUID, end: PlanState = PlanState.CANCELLED) -> PlanState:
        return self.world.control.stop(self.tenant_id, plan_id, end, "ann")

    def pause(self, plan_id: UUID) -> PlanChange:
        return self.world.control.pause(self.tenant_id, plan_id, "ann")

    def resume(self, plan_id: UUID) -> PlanChange:
        return self.world.control.resume(self.tenant_id, plan_id, "ann")

    def retry(
        self,
        plan_id: UUID,
        *kinds: RetryKind,
        wave_size: int = 400,
        deadline: datetime | None = None,
        task_id: UUID | None = None,
    ) -> Retried:
        retry = Retry(
            tenant_id=self.tenant_id,
            plan_id=plan_id,
            kinds=frozenset(kinds),
            task_id=task_id,
            actor="ann",
            deadline=deadline,
        )
        new_id = self.world.clock.new_id
        return self.world.control.retry(retry, lambda ended: draft_retry(ended, new_id(), wave_size, new_id))

    # What a worker does.

    def send(self, window: int = 8) -> list[WaveRef]:
        """Sends the waves that may go out."""
        waves = [outgoing.wave for outgoing in self.world.waves.take_next(self.tenant_id, window)]
        if waves:
            self.world.waves.mark_published(waves, EPOCH)
        return waves

    def look_at(
        self,
        wave: WaveRef,
        gone: Sequence[UUID] = (),
        silent: Sequence[UUID] = (),
        *,
        queue_is_empty: bool = True,
        skills: Sequence[str] | None = None,
    ) -> Look | None:
        """What a sweep does about a wave; None where it leaves it alone."""
        found = self.world.sweep.look_at(wave, gone, silent, queue_is_empty=queue_is_empty, skills=skills)
        return None if found is None else Look(judge=found.judge, again=not self.world.is_sent(wave))

    def claim(
        self, wave: WaveRef, task_ids: Sequence[UUID], lease_seconds: float = 60.0, skills: Sequence[str] = SKILLS
    ) -> Claim:
        token = self.world.clock.new_id()
        tasks = self.world.work.claim(wave, task_ids, self.agent_id, token, lease_seconds, skills)
        return Claim(wave, token, tuple(tasks))

    def give_back(self, planned: Planned, skills: Sequence[str]) -> list[str]:
        """Gives the tasks of a plan's first wave back, as a worker that has these skills."""
        return self.world.work.give_back(planned.wave, planned.ids_of(planned.wave), skills)

    def lose(self, wave: WaveRef) -> None:
        """Lets every lease of a wave that was sent run out, and the sweep take them back."""
        self.pass_time(64)
        assert self.world.sweep.look_at(wave, (), (), queue_is_empty=False) is not None

    def stage(self, claim: Claim, outcome: SuccessOutcome | FailureOutcome | None = None) -> int:
        """Stages the same outcome for all tasks of a claim."""
        text = canonical_json((outcome or success()).model_dump(mode="json"))
        results = [self.result(task.task_id, task.attempt, text) for task in claim.tasks]
        return self.world.work.stage(claim.wave, self.agent_id, claim.token, results)

    def result(self, task_id: UUID, attempt: int, outcome: str) -> Result:
        now = self.world.clock.now()
        return Result(
            task_id=task_id,
            attempt=attempt,
            outcome=outcome,
            sha256=sha256(outcome),
            started_at=now,
            finished_at=now,
        )

    def work_off(
        self, planned: Planned, outcome: SuccessOutcome | FailureOutcome | None = None, wave_no: int = 0
    ) -> WaveRef:
        """Sends a plan's wave and stages the outcome for each of its tasks; returns the wave."""
        wave = planned.waves[wave_no]
        self.send()
        claim = self.claim(wave, planned.ids_of(wave))
        assert self.stage(claim, outcome) == len(claim.tasks) == len(planned.ids_of(wave))
        return wave

    # What the Judge and people do.

    def judge(self, wave: WaveRef, says: Says) -> int:
        waiting = self.world.decisions.open_wave(wave)
        decisions = [says(staged) for staged in waiting.staged] + [give_up(task) for task in waiting.lost]
        decisions += [end(task) for task in waiting.given_up]
        return self.world.decisions.decide_wave(wave, decisions).requeued

    def asked(self, size: int = 1, **fields: Any) -> Planned:
        """A plan of this many tasks, each waiting for its planner."""
        planned = self.plan(size, has_replan=True, **fields)
        assert self.judge(self.work_off(planned), replan) == size
        return planned

    def begin_replan(
        self, wave: WaveRef, lease_seconds: float = 60.0, planners: Sequence[str] = PLANNERS
    ) -> tuple[ReplanJob | None, UUID]:
        """Takes the lease of the wave's next task that waits for its planner."""
        token = self.world.clock.new_id()
        return self.world.replans.begin(wave, token, lease_seconds, planners), token

    def hitl(self, staged: Staged, approvals_needed: int = 1) -> WaveDecision:
        ruling = Ruling(
            verdict=Verdict.HITL, reasons=(Reason(rule="confidence.missing"),), next_state=TaskState.IN_REVIEW
        )
        card = NewCard(
            card_id=self.world.clock.new_id(),
            skill=staged.skill,
            confidence=0.5,
            approvals_needed=approvals_needed,
        )
        return _decided(staged, ruling, card=card)

    def in_review(
        self, size: int = 1, state_key: str | None = None, approvals_needed: int = 1
    ) -> tuple[Planned, list[ReviewCard]]:
        """A plan of this many tasks, each waiting for a person, or for several."""
        planned = self.plan(size, state_key=state_key)
        self.judge(self.work_off(planned), lambda staged: self.hitl(staged, approvals_needed))
        return planned, self.cards(planned.plan_id)

    def card(self, card: ReviewCard) -> ReviewCard:
        """The card as it is now."""
        return self.world.reviews.card(self.tenant_id, card.card_id)

    def decide(self, card: ReviewCard, *, approve: bool, by: str = "ann", note: str | None = None) -> Decided:
        decision = CardDecision(
            card_id=card.card_id,
            version=card.version,
            seen_sha256=card.result_sha256,
            approve=approve,
            decided_by=by,
            note=note,
        )
        return self.world.cards.decide(self.tenant_id, decision)

    def edit(self, card: ReviewCard, output: Any, *, approve: bool = True, by: str = "ann", **fields: Any) -> CardEdit:
        """Puts another output in the card's place, as if the policy found nothing new, or what `reasons` say."""
        text = canonical_json(success(output, confidence=None).model_dump(mode="json"))
        values: dict[str, Any] = {"version": card.version, "seen_sha256": card.result_sha256}
        values |= {"reasons": (), "policy_version": POLICY, "note": "better"}
        edit = CardEdit(
            card_id=card.card_id, edited_by=by, outcome=text, sha256=sha256(text), approve=approve, **values | fields
        )
        self.world.cards.edit(self.tenant_id, edit)
        return edit

    def erase(self, task_id: UUID, reason: str = "asked to") -> None:
        """Erases a task whose plan waits for nothing but people, or has ended."""
        tenant_id = self.tenant_id
        self.world.erase(Erasure(tenant_id=tenant_id, plan_id=None, task_id=task_id, actor="root", reason=reason))

    def stop_wave(self, wave: WaveRef) -> Decided:
        return self.world.decisions.stop_wave(wave)

    # What is seen of it.

    def shown(self, plan_id: UUID) -> Plan:
        return self.world.plans.get(self.tenant_id, plan_id)

    def state(self, plan_id: UUID) -> PlanState:
        return self.shown(plan_id).state

    def results(self, plan_id: UUID) -> list[TaskResult]:
        return self.world.plans.results(self.tenant_id, plan_id, (-1, -1), 1000)

    def states(self, plan_id: UUID) -> list[TaskState]:
        return [result.state for result in self.results(plan_id)]

    def entries(self, plan_id: UUID | None = None) -> list[AuditEntry]:
        return self.world.plans.entries(self.tenant_id, plan_id, 0, 1000)

    def kinds(self, plan_id: UUID) -> list[str]:
        return [entry.kind for entry in self.entries(plan_id)]

    def cards(self, plan_id: UUID | None = None, status: CardStatus | None = None) -> list[ReviewCard]:
        return self.world.reviews.cards(self.tenant_id, plan_id=plan_id, status=status, limit=1000)

    def recorded(self, kind: str) -> list[AuditEntry]:
        """The tenant's entries of this kind."""
        return [entry for entry in self.entries() if entry.kind == kind]

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(self.tenant_id, seconds)


def success(output: Any = "fine", confidence: float | None = 0.9) -> SuccessOutcome:
    return SuccessOutcome(output=output, confidence=confidence)


def failure(code: str = "broken", *, retryable: bool = True) -> FailureOutcome:
    return FailureOutcome(code=code, message="it broke", retryable=retryable)


def approve(staged: Staged) -> WaveDecision:
    ruling = Ruling(verdict=Verdict.APPROVE, next_state=TaskState.APPROVED)
    if staged.state_key is None:
        return _decided(staged, ruling)
    version = staged.state_version or 0
    state = StateWrite(key=staged.state_key, version=version, if_changed=state_conflict(staged))
    return _decided(staged, ruling, state=state)


def deny(staged: Staged) -> WaveDecision:
    return _decided(staged, Ruling(verdict=Verdict.DENY, reasons=(WRONG,), next_state=TaskState.DENIED))


def exhaust(staged: Staged) -> WaveDecision:
    return _decided(staged, Ruling(verdict=Verdict.DENY, reasons=(WRONG,), next_state=TaskState.EXHAUSTED))


def retry(staged: Staged) -> WaveDecision:
    return _decided(staged, Ruling(verdict=Verdict.DENY, reasons=(WRONG,), next_state=TaskState.QUEUED))


def replan(staged: Staged) -> WaveDecision:
    """Back to the planner, as the gate sends it."""
    ruling = Ruling(verdict=Verdict.DENY, reasons=(WRONG,), next_state=TaskState.QUEUED, to_planner=True)
    return _decided(staged, ruling)


def end(task: GivenUpTask) -> WaveDecision:
    decision = Decision(
        task_id=task.task_id,
        attempt=task.attempt,
        agent_id=task.agent_id,
        ruling=planner_gave_up(task.reasons, task.failure),
        result_sha256=b"",
        decided_by="policy",
        policy_version=POLICY,
    )
    return WaveDecision(decision=decision, found=TaskState.QUEUED)


def give_up(task: LostLease) -> WaveDecision:
    decision = Decision(
        task_id=task.task_id,
        attempt=task.attempt,
        agent_id=task.agent_id,
        ruling=lease_lost(task.attempt),
        result_sha256=b"",
        decided_by="policy",
        policy_version=POLICY,
    )
    return WaveDecision(decision=decision, found=TaskState.RUNNING)


WRONG = Reason(rule="output.schema", value="value: is wrong")


def _decided(staged: Staged, ruling: Ruling, **fields: Any) -> WaveDecision:
    decision = Decision(
        task_id=staged.task_id,
        attempt=staged.attempt,
        agent_id=staged.agent_id,
        ruling=ruling,
        result_sha256=staged.sha256,
        decided_by="policy",
        policy_version=POLICY,
    )
    return WaveDecision(decision=decision, found=TaskState.STAGED, **fields)


def facts_of(entry: AuditEntry) -> dict[str, Any]:
    """What the entry says happened, but for the process that did it, which the fakes do not know."""
    assert entry.facts is not None
    return {name: value for name, value in entry.facts.items() if name not in {"by_user", "by_login"}}


def now_of(world: World) -> datetime:
    """The time as the world's stores take it, near enough."""
    return world.clock.now()
