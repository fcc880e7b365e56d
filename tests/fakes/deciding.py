"""What the fake stores that decide share: the steps of a deciding transaction."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.cost import cost_knowledge
from chimera.models.gate.deciding import (
    JUDGE,
    NOTHING_DECIDED,
    Decided,
    NewCard,
    StateWrite,
    WaveDecision,
    decided_events,
    feedback_json,
    opened_events,
    state_writes,
)
from chimera.models.gate.gate import Staged
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.work.decision import Decision
from chimera.models.work.plan import ANSWERED, PlanState, ends_as
from chimera.models.work.replan import ReplanState
from chimera.models.work.result import OUTCOME, Result
from chimera.models.work.state import StateEntry
from chimera.models.work.task import TERMINAL, TaskState
from chimera.models.work.timing import PLANNER_MESSAGE_SECONDS
from chimera.models.work.wave import WaveRef, WaveState
from tests.fakes import budgeting
from tests.fakes.database import LONG_AGO, UNSEEN, FakeDatabase, TaskRow


class FakeDeciding:
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def _is_stopped(self, wave: WaveRef) -> bool:
        plan = self._database.opened().plans.get((wave.tenant_id, wave.plan_id))
        return plan is None or plan.stop_state is not None

    def _is_given_up(self, row: TaskRow) -> bool:
        running_out = row.state is TaskState.RUNNING and row.attempt >= row.task.max_attempts
        return running_out and self._database.is_given_up(row.lease)

    def _is_found(self, wave: WaveRef, item: WaveDecision) -> bool:
        """Whether the task is still where the decision found it."""
        row = next((row for row in self._database.wave_tasks(wave) if row.task.task_id == item.decision.task_id), None)
        if row is None or row.attempt != item.decision.attempt or row.state is not item.found:
            return False
        if row.state is TaskState.QUEUED:
            return row.is_given_up or row.is_refused
        return row.state is not TaskState.RUNNING or self._is_given_up(row)

    def _decide(self, wave: WaveRef, decisions: Sequence[WaveDecision], noted: Sequence[AuditEvent] = ()) -> Decided:
        """Writes decisions on tasks that are where they were found, and all that follows; before them what is noted."""
        if not decisions:
            return NOTHING_DECIDED
        versions: dict[UUID, int] = {}
        writes = state_writes(decisions, [item.decision.task_id for item in decisions])
        decisions = [self._with_state(wave, item, versions, writes) for item in decisions]
        spent = [event for item in decisions for event in self._move(wave, item)]
        for item in decisions:
            if item.card is not None:
                self._open_card(wave, item, item.card)
        decided = [*decided_events(wave, decisions, versions), *opened_events(wave, decisions)]
        back = [row for row in map(self._row_of(wave), decisions) if row.state is TaskState.QUEUED]
        settled = self._settle(wave, requeued=any(row.waits for row in back), asked=any(row.is_asked for row in back))
        self._database.record(wave.tenant_id, [*noted, *decided, *settled, *spent])
        trace_id = self._database.plan(wave.tenant_id, wave.plan_id).request.trace_id
        return Decided(decisions=tuple(item.decision for item in decisions), trace_id=trace_id)

    def _with_state(
        self, wave: WaveRef, item: WaveDecision, versions: dict[UUID, int], writes: dict[str, WaveDecision]
    ) -> WaveDecision:
        """The decision, where shared state has changed with its second ruling; else writes the state."""
        if item.state is None:
            return item
        row = self._row_of(wave)(item)
        is_first = writes[item.state.key] is item
        if not is_first or self._version(wave.tenant_id, item.state.key) != item.state.version:
            return item.where_state_changed()
        versions[item.decision.task_id] = item.state.version + 1
        self._write_state(row, item.decision, item.state)
        return item

    def _row_of(self, wave: WaveRef) -> Callable[[WaveDecision], TaskRow]:
        return lambda item: self._database.tasks[wave.tenant_id, item.decision.task_id]

    def _version(self, tenant_id: str, key: str) -> int:
        shared = self._database.shared(tenant_id, key)
        return shared.version if shared else 0

    def _write_state(self, row: TaskRow, decision: Decision, state: StateWrite) -> None:
        outcome = self._database.shown(row)
        assert outcome is not None
        entry = StateEntry(
            tenant_id=row.task.tenant_id,
            key=state.key,
            value=json.loads(outcome)["output"],
            version=state.version + 1,
            plan_id=row.task.plan_id,
            task_id=row.task.task_id,
            attempt=row.attempt,
            decided_by=decision.decided_by,
            committed_at=self._database.now(),
            result_sha256=decision.result_sha256.hex(),
            result_size=len(outcome),
        )
        self._database.state.setdefault((row.task.tenant_id, state.key), []).append(entry)

    def _move(self, wave: WaveRef, item: WaveDecision) -> list[AuditEvent]:
        """Moves the task, and settles what its attempt cost; returns what the audit is to say of that."""
        decision, ruling = item.decision, item.decision.ruling
        row = self._row_of(wave)(item)
        self._database.decided.append((wave, decision))
        known = cost_knowledge(item.found)
        events = budgeting.settle(self._database, row, known) if known else []
        if item.found is TaskState.RUNNING and ruling.next_state is TaskState.EXHAUSTED:
            self._database.lose(row)
        row.state = ruling.next_state
        row.finished_at = self._database.now() if ruling.next_state in TERMINAL else None
        row.lease = None
        row.feedback = feedback_json(ruling) or row.feedback
        if ruling.to_planner:
            self._send_back(row)
        if ruling.final:
            assert (wave.tenant_id, decision.task_id) not in self._database.final
            self._database.final[wave.tenant_id, decision.task_id] = decision
        return events

    def _send_back(self, row: TaskRow) -> None:
        row.replans += 1
        row.replan_tries = 0
        plan = self._database.plan(row.task.tenant_id, row.task.plan_id)
        row.replan = ReplanState.ASKED if plan.has_replan else None

    def _settle(self, wave: WaveRef, *, requeued: bool, asked: bool) -> list[AuditEvent]:
        """Closes the wave where none of its tasks is open, and its plan where none of its waves is."""
        database = self._database
        row = database.waves[wave]
        closed = all(task.state not in UNSEEN for task in database.wave_tasks(wave))
        row.state = WaveState.CLOSED if closed else WaveState.IN_FLIGHT
        row.touched_at = LONG_AGO if requeued else database.now()
        if requeued:
            row.published_at = None
        if asked:
            row.replan_at = database.now() + timedelta(seconds=PLANNER_MESSAGE_SECONDS)
        plan = database.plan(wave.tenant_id, wave.plan_id)
        waves = database.plan_waves(wave.tenant_id, wave.plan_id)
        if any(each.state is not WaveState.CLOSED for each in waves):
            return []
        asks = any(task.state is TaskState.IN_REVIEW for each in waves for task in database.wave_tasks(each.ref))
        states = {task.state for each in waves for task in database.wave_tasks(each.ref)}
        end = ends_as(plan.stop_state, all_answered=ANSWERED.issuperset(states))
        state = PlanState.IN_REVIEW if asks else end
        if state is plan.state or (asks and plan.state is PlanState.STOPPING):
            return []
        plan.state = state
        plan.finished_at = None if asks else database.now()
        return [AuditEvent(kind=AuditKind.plan_is(state), actor=JUDGE, plan_id=wave.plan_id, facts={})]

    def _open_tasks(self, wave: WaveRef) -> list[TaskRow]:
        return [row for row in self._database.wave_tasks(wave) if row.state in UNSEEN | {TaskState.IN_REVIEW}]

    def _open_card(self, wave: WaveRef, item: WaveDecision, card: NewCard) -> None:
        decision = item.decision
        row = self._database.tasks[wave.tenant_id, decision.task_id]
        outcome, sha256 = self._result(row)
        self._database.cards[wave.tenant_id, card.card_id] = ReviewCard(
            tenant_id=wave.tenant_id,
            card_id=card.card_id,
            plan_id=wave.plan_id,
            task_id=decision.task_id,
            attempt=decision.attempt,
            skill=card.skill,
            input=row.task.input,
            outcome=outcome,
            result_sha256=sha256,
            reasons=decision.ruling.reasons,
            confidence=card.confidence,
            policy_version=decision.policy_version,
            status=CardStatus.PENDING,
            version=1,
            approvals_needed=card.approvals_needed,
            opened_at=self._database.now(),
        )

    def _close_card(self, tenant_id: str, task_id: UUID, status: CardStatus) -> None:
        for card in list(self._database.cards.values()):
            if (card.tenant_id, card.task_id, card.status) == (tenant_id, task_id, CardStatus.PENDING):
                self._change_card(card, status)

    def _change_card(self, card: ReviewCard, status: CardStatus, **fields: str | None) -> None:
        update: dict[str, object] = {"claimed_by": None, "claim_expires_at": None, **fields}
        update |= {"status": status, "version": card.version + 1, "decided_at": self._database.now()}
        self._database.cards[card.tenant_id, card.card_id] = card.model_copy(update=update)

    def _result(self, row: TaskRow) -> tuple[str, bytes]:
        result = self._database.results[row.task.tenant_id, row.task.task_id, row.attempt]
        return result.outcome, result.sha256

    def _staged(self, row: TaskRow) -> Staged:
        result = self._database.results[row.task.tenant_id, row.task.task_id, row.attempt]
        return staged(row, row.attempt, result).model_copy(update={"replans": row.replans, "agent_id": row.agent_id})


def staged(row: TaskRow, attempt: int, result: Result) -> Staged:
    """A result with what the gate needs to know of its task."""
    return Staged(
        task_id=row.task.task_id,
        skill=row.made_from(attempt).skill,
        input=json.loads(row.made_from(attempt).input),
        attempt=attempt,
        max_attempts=row.task.max_attempts,
        outcome=OUTCOME.validate_python(json.loads(result.outcome), strict=False),
        size=len(result.outcome),
        sha256=result.sha256,
        fingerprint=result.fingerprint,
        usage=result.usage,
        state_key=row.task.state_key,
        state_version=row.state_version,
    )
