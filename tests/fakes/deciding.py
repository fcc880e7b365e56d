"""What the fake stores that decide share: the steps of a deciding transaction."""

import json
from datetime import timedelta
from uuid import UUID

from chimera.models.audit.audit import AuditEvent
from chimera.models.budget.budget import NOTHING
from chimera.models.gate.gate import Staged
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.record import canonical_json
from chimera.models.work.decision import Decision, Ruling, Verdict
from chimera.models.work.plan import PlanState
from chimera.models.work.result import OUTCOME, Result
from chimera.models.work.state import StateEntry
from chimera.models.work.task import TERMINAL, TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports.decision_store import WaveDecision
from tests.fakes import budgeting
from tests.fakes.database import LONG_AGO, UNSEEN, FakeDatabase, TaskRow

JUDGE = "judge"


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
        decision = item.decision
        tasks = {row.task.task_id: row for row in self._database.wave_tasks(wave)}
        row = tasks.get(decision.task_id)
        if row is None or row.attempt != decision.attempt:
            return False
        if item.given_up:
            return row.is_given_up
        if item.refused:
            return row.state is TaskState.QUEUED and row.over_budget is not None
        return row.state is TaskState.STAGED if decision.result_sha256 else self._is_given_up(row)

    def _with_state(self, wave: WaveRef, item: WaveDecision) -> WaveDecision:
        """The decision, or where shared state has changed the ruling for that; writes the state."""
        if item.state_key is None or item.on_conflict is None:
            return item
        row = self._database.tasks[wave.tenant_id, item.decision.task_id]
        if self._state_has_changed(row):
            fallen = item.decision.model_copy(update={"ruling": item.on_conflict})
            return item.model_copy(update={"decision": fallen})
        self._write_state(row, item.decision)
        return item

    def _state_has_changed(self, row: TaskRow) -> bool:
        if row.task.state_key is None:
            return False
        shared = self._database.shared(row.task.tenant_id, row.task.state_key)
        return (shared.version if shared else 0) != row.state_version

    def _write_state(self, row: TaskRow, decision: Decision) -> None:
        task = row.task
        if task.state_key is None:
            return
        outcome = self._database.shown(row)
        assert outcome is not None
        entry = StateEntry(
            tenant_id=task.tenant_id,
            key=task.state_key,
            value=json.loads(outcome)["output"],
            version=(row.state_version or 0) + 1,
            plan_id=task.plan_id,
            task_id=task.task_id,
            attempt=row.attempt,
            decided_by=decision.decided_by,
            committed_at=self._database.now(),
            result_sha256=decision.result_sha256.hex(),
            result_size=len(outcome),
        )
        self._database.state.setdefault((task.tenant_id, task.state_key), []).append(entry)

    def _write(self, wave: WaveRef, decision: Decision, card_id: UUID | None = None) -> None:
        """Moves the task, and writes the decision with its audit entry."""
        row = self._database.tasks[wave.tenant_id, decision.task_id]
        ruling = decision.ruling
        if row.state is TaskState.IN_REVIEW and ruling.verdict is Verdict.APPROVE:
            self._write_state(row, decision)
        self._database.decided.append((wave, decision))
        if row.state is TaskState.QUEUED:
            budgeting.settle(self._database, row, NOTHING)
        elif row.state is TaskState.RUNNING:
            budgeting.settle(self._database, row, None)
        elif row.state is TaskState.STAGED:
            budgeting.settle(self._database, row, budgeting.reported(self._database, row))
        row.state = ruling.next_state
        row.finished_at = self._database.now() if ruling.next_state in TERMINAL else None
        row.lease = None
        if ruling.next_state is TaskState.QUEUED:
            self._send_back(row, ruling)
        facts = {
            **({"card_id": card_id.hex} if card_id else {}),
            "attempt": decision.attempt,
            "verdict": ruling.verdict,
            "state": ruling.next_state,
            "final": ruling.final,
            "committed": ruling.verdict is Verdict.APPROVE,
            "reasons": [reason.model_dump(mode="json") for reason in ruling.reasons],
            "policy_version": decision.policy_version,
            "result_sha256": decision.result_sha256.hex(),
        }
        self._record(wave, "task.decided", decision.decided_by, decision.task_id, facts)
        if ruling.final:
            assert (wave.tenant_id, decision.task_id) not in self._database.final
            self._database.final[wave.tenant_id, decision.task_id] = decision

    def _send_back(self, row: TaskRow, ruling: Ruling) -> None:
        row.feedback = canonical_json([reason.model_dump(mode="json") for reason in ruling.reasons])
        if ruling.to_planner:
            row.replans += 1
            row.replan_tries = 0
            plan = self._database.plan(row.task.tenant_id, row.task.plan_id)
            row.replan = "asked" if plan.has_replan else None

    def _settle(self, wave: WaveRef, *, requeued: bool = False, asked: bool = False) -> None:
        """Closes the wave where none of its tasks is open, and its plan where none of its waves is."""
        database = self._database
        row = database.waves[wave]
        closed = all(task.state not in UNSEEN for task in database.wave_tasks(wave))
        row.state = "closed" if closed else "in_flight"
        row.touched_at = LONG_AGO if requeued else database.now()
        if requeued:
            row.published_at = None
        if asked:
            row.replan_at = database.now() + timedelta(seconds=2)
        plan = database.plan(wave.tenant_id, wave.plan_id)
        waves = database.plan_waves(wave.tenant_id, wave.plan_id)
        if any(each.state != "closed" for each in waves):
            return
        asks = any(task.state is TaskState.IN_REVIEW for each in waves for task in database.wave_tasks(each.ref))
        state = PlanState.IN_REVIEW if asks else plan.stop_state or PlanState.COMPLETED
        if state is plan.state or (asks and plan.state is PlanState.STOPPING):
            return
        plan.state = state
        plan.finished_at = None if asks else database.now()
        self._record(wave, f"plan.{state}", JUDGE, None, {})

    def _open_tasks(self, wave: WaveRef) -> list[TaskRow]:
        return [row for row in self._database.wave_tasks(wave) if row.state in UNSEEN | {TaskState.IN_REVIEW}]

    def _open_card(self, wave: WaveRef, item: WaveDecision, card_id: UUID) -> None:
        decision = item.decision
        row = self._database.tasks[wave.tenant_id, decision.task_id]
        outcome, sha256 = self._result(row)
        self._database.cards[wave.tenant_id, card_id] = ReviewCard(
            tenant_id=wave.tenant_id,
            card_id=card_id,
            plan_id=wave.plan_id,
            task_id=decision.task_id,
            attempt=decision.attempt,
            skill=item.skill,
            input=row.task.input,
            outcome=outcome,
            result_sha256=sha256,
            reasons=decision.ruling.reasons,
            confidence=item.confidence,
            policy_version=decision.policy_version,
            status=CardStatus.PENDING,
            version=1,
            approvals_needed=item.approvals_needed,
            opened_at=self._database.now(),
        )
        facts: dict[str, object] = {"card_id": card_id.hex, "approvals_needed": item.approvals_needed}
        self._record(wave, "review.opened", JUDGE, decision.task_id, facts)

    def _close_card(self, tenant_id: str, task_id: UUID, status: CardStatus) -> None:
        for card in list(self._database.cards.values()):
            if (card.tenant_id, card.task_id, card.status) == (tenant_id, task_id, CardStatus.PENDING):
                self._change_card(card, status)

    def _change_card(self, card: ReviewCard, status: CardStatus, **fields: str | None) -> None:
        update: dict[str, object] = {"claimed_by": None, "claim_expires_at": None, **fields}
        update |= {"status": status, "version": card.version + 1, "decided_at": self._database.now()}
        self._database.cards[card.tenant_id, card.card_id] = card.model_copy(update=update)

    def _record(self, wave: WaveRef, kind: str, actor: str, task_id: UUID | None, facts: dict[str, object]) -> None:
        event = AuditEvent(kind=kind, actor=actor, plan_id=wave.plan_id, task_id=task_id, facts=facts)
        self._database.record(wave.tenant_id, [event])

    def _result(self, row: TaskRow) -> tuple[str, bytes]:
        result = self._database.results[row.task.tenant_id, row.task.task_id, row.attempt]
        return result.outcome, result.sha256

    def _staged(self, row: TaskRow) -> Staged:
        result = self._database.results[row.task.tenant_id, row.task.task_id, row.attempt]
        return staged(row, row.attempt, result).model_copy(update={"replans": row.replans})


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
        usage=result.usage,
        state_key=row.task.state_key,
        state_version=row.state_version,
    )
