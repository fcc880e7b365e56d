"""The Judge: gates what a wave has staged, and is the only way into shared state."""

from collections.abc import Callable, Sequence
from time import monotonic
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from chimera.failpoints import Failpoint, failpoint
from chimera.models.budget.budget import over_budget
from chimera.models.gate.deciding import NewCard, StateWrite, WaveDecision
from chimera.models.gate.gate import NEVER_SAMPLED, Staged, gate, invalid, lease_lost, state_conflict
from chimera.models.gate.opinion import lowered
from chimera.models.gate.policy import LlmJudge, Policy, PolicyInForce
from chimera.models.ids import IdKind, format_id
from chimera.models.text.allowance import MOST_BYTES, MOST_SECONDS, Allowance
from chimera.models.work.decision import Decision, Ruling, Verdict
from chimera.models.work.lease import LostLease
from chimera.models.work.replan import planner_gave_up
from chimera.models.work.result import SuccessOutcome
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports.clock import Clock
from chimera.ports.decision_store import (
    DecisionStore,
    GivenUpTask,
    OpenWave,
    PolicyChanged,
    RefusedTask,
)
from chimera.services.decision_log import log_decisions
from chimera.services.dispatcher import Dispatcher
from chimera.services.opinions import AT_ONCE, Opinions
from chimera.services.output_schemas import OutputSchemas
from chimera.services.turn import READ_BYTES, Turn

log = structlog.get_logger(__name__)

DECIDED_BY_POLICY = "policy"
# After this time beyond the last answer that could have come, another Judge may ask the model.
ASKING_MARGIN_SECONDS = 15.0


class Judge:
    """Decides by the tenant's policy; what it may not decide becomes a review card."""

    def __init__(
        self,
        store: DecisionStore,
        dispatcher: Dispatcher,
        schemas: OutputSchemas,
        clock: Clock,
        opinions: Opinions,
        *,
        max_gate_bytes: int = MOST_BYTES,
        max_gate_seconds: float = MOST_SECONDS,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._schemas = schemas
        self._clock = clock
        self._opinions = opinions
        self._max_gate_bytes = max_gate_bytes
        self._max_gate_seconds = max_gate_seconds
        self._seconds = seconds

    def judge_wave(self, wave: WaveRef) -> int:
        """Gates whatever the wave has staged, sends the tenant's next waves, and returns how many were gated.

        May run early, late or twice: it decides only on what waits for a decision.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; nothing was decided, or all was.
        """
        failpoint(Failpoint.JUDGE_RECEIVED, wave.tenant_id)
        turn = Turn(self._store, wave, self._clock.new_id(), self._seconds)
        waiting = self._store.open_wave(wave, READ_BYTES)
        with bound_contextvars(trace_id=waiting.trace_id):
            return self._judge(wave, waiting, turn)

    def _judge(self, wave: WaveRef, waiting: OpenWave, turn: Turn) -> int:
        asking = _Asking()
        decided = requeued = 0
        asks_planner = is_left = False
        while turn.may_gate(waiting):
            decisions = self._decisions(waiting, asking, turn)
            failpoint(Failpoint.JUDGE_GATED, wave.tenant_id)
            if not decisions:
                break
            try:
                written = self._store.decide_wave(wave, decisions)
            except PolicyChanged:
                asking = _Asking()  # gated again, by the one that is in force now
                waiting = self._store.open_wave(wave, READ_BYTES)
                continue
            log_decisions(wave.tenant_id, wave.plan_id, written, _confidences(waiting))
            decided += len(decisions)
            requeued += written.requeued
            asks_planner |= waiting.has_replan and any(each.ruling.to_planner for each in written.decisions)
            is_left = (waiting.is_left or turn.is_cut) and bool(written.decisions)
            if not (asking.unfinished or (is_left and turn.goes_on())):
                break
            waiting = self._store.open_wave(wave, READ_BYTES)
        log.info("wave_judged", decided=decided, requeued=requeued)
        sent_away = turn.end()
        if is_left or (sent_away and decided and self._store.open_wave(wave, 0).staged):
            # What is left, or came while other Judges were sent away, is for a message of its own.
            self._dispatcher.ask_judge(wave, waiting.trace_id)
        failpoint(Failpoint.JUDGE_DECIDED, wave.tenant_id)
        if requeued and asks_planner:
            self._dispatcher.ask_planner(wave, waiting.trace_id)
        self._dispatcher.dispatch(wave.tenant_id)
        failpoint(Failpoint.JUDGE_DISPATCHED, wave.tenant_id)
        return decided

    def stop_plan(self, tenant_id: str, plan_id: UUID) -> None:
        """Ends every open task and card of a plan that was cancelled or has expired.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; asked again, it goes on.
        """
        for wave in self._store.open_waves(tenant_id, plan_id):
            log_decisions(tenant_id, plan_id, self._store.stop_wave(wave))
            failpoint(Failpoint.STOP_WAVE_CLOSED, tenant_id)
        self._dispatcher.dispatch(tenant_id)

    def _decisions(self, waiting: OpenWave, asking: "_Asking", turn: Turn) -> list[WaveDecision]:
        """What can be decided now; where a model is to be asked about more than it can be at a time, a part of it."""
        policy = waiting.policy
        model = policy.policy.llm_judge
        decisions = [
            _without_result(task, TaskState.RUNNING, lease_lost(task.attempt), policy) for task in waiting.lost
        ]
        decisions += [
            _without_result(task, TaskState.QUEUED, planner_gave_up(task.reasons, task.failure), policy)
            for task in waiting.given_up
        ]
        decisions += [
            _without_result(task, TaskState.QUEUED, over_budget(task.limit), policy) for task in waiting.refused
        ]
        to_ask: list[tuple[Staged, Ruling]] = []
        self._schemas.learn(waiting.staged)
        for staged in turn.in_time(waiting.staged):
            ruling = self._ruling(staged, policy.policy)
            if model is not None and _is_asked_about(model, staged, ruling):
                to_ask.append((staged, ruling))
            else:
                decisions.append(self._decision(staged, ruling, policy))
        if model is None:
            return decisions
        if (part := asking.next(to_ask)) and turn.reserve(model.timeout_seconds + ASKING_MARGIN_SECONDS):
            opinions = self._opinions.of(model, [staged for staged, _ in part])
            decisions += [
                self._decision(staged, lowered(ruling, opinion), policy, f"{DECIDED_BY_POLICY} and {model.model}")
                for (staged, ruling), opinion in zip(part, opinions, strict=True)
            ]
        return decisions

    def _ruling(self, staged: Staged, policy: Policy) -> Ruling:
        """The gate's ruling; what is raised over a result is this one's failure, and keeps no other from its ruling."""
        # A system call each: drawn for those only that may become one of a sample.
        draw = NEVER_SAMPLED if policy.of_skill(staged.skill).sample is None else self._clock.draw()
        try:
            return gate(staged, policy, self._schemas.fault(staged), draw, self._allowance())
        except Exception as exc:  # noqa: BLE001  the result is somebody else's text
            log.warning("result_invalid", task_id=format_id(IdKind.TASK, staged.task_id), error=type(exc).__name__)
            return gate(invalid(staged), policy, None, draw)

    def _allowance(self) -> Allowance:
        until = self._seconds() + self._max_gate_seconds
        return Allowance(self._max_gate_bytes, lambda: self._seconds() > until)

    def _decision(
        self, staged: Staged, ruling: Ruling, policy: PolicyInForce, decided_by: str = DECIDED_BY_POLICY
    ) -> WaveDecision:
        card = state = None
        if ruling.verdict is Verdict.HITL:
            card = NewCard(
                card_id=self._clock.new_id(),
                skill=staged.skill,
                confidence=_confidence(staged),
                approvals_needed=policy.policy.of_skill(staged.skill).quorum or 1,
            )
        elif ruling.verdict is Verdict.APPROVE and staged.state_key is not None:
            conflict = state_conflict(staged, policy.policy.max_replans)
            state = StateWrite(key=staged.state_key, version=staged.state_version or 0, if_changed=conflict)
        decision = Decision(
            task_id=staged.task_id,
            attempt=staged.attempt,
            agent_id=staged.agent_id,
            ruling=ruling,
            result_sha256=staged.sha256,
            decided_by=decided_by,
            policy_version=policy.version,
        )
        return WaveDecision(decision=decision, found=TaskState.STAGED, card=card, state=state)


class _Asking:
    """Which results of a wave a model was asked about: each once, a few at a time."""

    def __init__(self) -> None:
        self.unfinished = False
        self._asked: set[UUID] = set()

    def next(self, results: Sequence[tuple[Staged, Ruling]]) -> list[tuple[Staged, Ruling]]:
        """Those to ask about now."""
        new = [pair for pair in results if pair[0].task_id not in self._asked]
        part = new[:AT_ONCE]
        self.unfinished = len(new) > len(part)
        self._asked |= {staged.task_id for staged, _ in part}
        return part


def _is_asked_about(model: LlmJudge, staged: Staged, ruling: Ruling) -> bool:
    return ruling.verdict is Verdict.APPROVE and (model.skills is None or staged.skill in model.skills)


def _confidences(waiting: OpenWave) -> dict[UUID, float | None]:
    return {staged.task_id: _confidence(staged) for staged in waiting.staged}


def _confidence(staged: Staged) -> float | None:
    """What the skill reported."""
    return staged.outcome.confidence if isinstance(staged.outcome, SuccessOutcome) else None


def _without_result(
    task: LostLease | GivenUpTask | RefusedTask, found: TaskState, ruling: Ruling, policy: PolicyInForce
) -> WaveDecision:
    """A decision on the task: there is no result, or it was denied already, for now."""
    decision = Decision(
        task_id=task.task_id,
        attempt=task.attempt,
        agent_id=task.agent_id,
        ruling=ruling,
        result_sha256=b"",
        decided_by=DECIDED_BY_POLICY,
        policy_version=policy.version,
    )
    return WaveDecision(decision=decision, found=found)
