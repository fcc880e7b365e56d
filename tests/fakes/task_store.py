"""Tasks as people look at them, in memory."""

import json
from uuid import UUID

from chimera.errors import TaskNotFound
from chimera.models.audit.access import refused_event
from chimera.models.audit.audit import AuditEntry
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.ids import IdKind, format_id
from chimera.models.work.decision import Verdict
from chimera.models.work.history import (
    CardApproval,
    CardEditing,
    TaskAttempt,
    TaskCard,
    TaskCommit,
    TaskDecision,
    TaskHistory,
    TaskStanding,
)
from chimera.models.work.task import TaskState
from chimera.ports import task_store as port
from tests.fakes.database import FakeDatabase, TaskRow


class FakeTaskStore(port.TaskStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def history(self, tenant_id: str, task_id: UUID) -> TaskHistory:
        row = self._asked(tenant_id, task_id)
        plan = self._database.plan(tenant_id, row.task.plan_id)
        decisions = self._decisions(row)
        return TaskHistory(
            **dict(standing(row)),
            trace_id=plan.request.trace_id,
            session_id=plan.request.session_id,
            depends_on=row.task.depends_on,
            state_key=row.task.state_key,
            state_version=row.state_version,
            agent_id=row.agent_id,
            lost=row.lost,
            replans=row.replans,
            over_budget=row.over_budget,
            degraded_from=row.degraded_from,
            attempts=tuple(self._attempt(row, number) for number in range(1, row.attempt + 1)),
            late_results=tuple(self._database.late[tenant_id, task_id]),
            decisions=decisions,
            cards=self._cards(row),
            commit=self._commit(row, decisions),
            retried_as=self._retried_as(row),
        )

    def list_tasks(
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None = None,
        state: TaskState | None = None,
        skill: str | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> list[TaskStanding]:
        rows = [row for row in self._database.opened().tasks.values() if row.task.tenant_id == tenant_id]
        rows = [
            row
            for row in rows
            if plan_id in {None, row.task.plan_id} and state in {None, row.state} and skill in {None, row.task.skill}
        ]
        if after is not None:
            behind = _place(self._asked(tenant_id, after))
            rows = [row for row in rows if _place(row) > behind]
        return [standing(row) for row in sorted(rows, key=_place)[:limit]]

    def _attempt(self, row: TaskRow, number: int) -> TaskAttempt:
        task = row.task
        key = (task.tenant_id, task.task_id, number)
        result = self._database.results.get(key)
        agent_id, taken_at = self._database.taken[key]
        skill = row.made_from(number).skill
        if result is None:
            lost_at = self._database.lost.get(key)
            return TaskAttempt(attempt=number, skill=skill, agent_id=agent_id, taken_at=taken_at, lost_at=lost_at)
        outcome = json.loads(result.outcome)
        return TaskAttempt(
            attempt=number,
            skill=skill,
            agent_id=self._database.staged_by[key],
            taken_at=taken_at,
            outcome=outcome.get("kind"),
            confidence=outcome.get("confidence"),
            code=outcome.get("code"),
            message=outcome.get("message"),
            tokens=result.usage.tokens,
            cost_usd=result.usage.cost_usd,
            result_sha256=result.sha256.hex(),
            started_at=result.started_at,
            finished_at=result.finished_at,
        )

    def _decisions(self, row: TaskRow) -> tuple[TaskDecision, ...]:
        """Each with its audit entry: both are written in one order."""
        made = [decision for _, decision in self._database.decided if decision.task_id == row.task.task_id]
        entries = self._entries(row, AuditKind.TASK_DECIDED)
        return tuple(
            TaskDecision(
                attempt=decision.attempt,
                verdict=decision.ruling.verdict,
                final=decision.ruling.final,
                reasons=decision.ruling.reasons,
                policy_version=decision.policy_version,
                decided_by=decision.decided_by,
                decided_at=entry.at,
                result_sha256=decision.result_sha256.hex() or None,
                audit_seq=entry.seq,
            )
            for decision, entry in zip(made, entries, strict=True)
        )

    def _cards(self, row: TaskRow) -> tuple[TaskCard, ...]:
        task = row.task
        cards = [card for card in self._database.cards.values() if card.task_id == task.task_id]
        return tuple(
            TaskCard(
                card_id=card.card_id,
                attempt=card.attempt,
                status=card.status,
                approvals_needed=card.approvals_needed,
                opened_at=card.opened_at,
                decided_by=card.decided_by,
                decided_at=card.decided_at,
                edits=tuple(
                    CardEditing(
                        revision=each.number, edited_by=each.edited_by, edited_at=each.edited_at, reasons=each.reasons
                    )
                    for each in self._database.revisions[task.tenant_id, card.card_id]
                    if each.edited_by is not None and each.edited_at is not None
                ),
                approvals=self._approvals(row, card),
            )
            for card in sorted(cards, key=lambda card: card.attempt)
        )

    def _approvals(self, row: TaskRow, card: ReviewCard) -> tuple[CardApproval, ...]:
        """An approval that is not the last has an entry of its own; the last is the card's decision."""
        entries = self._entries(row, AuditKind.REVIEW_APPROVED, AuditKind.REVIEW_DECIDED)
        return tuple(
            CardApproval(approved_by=entry.actor, approved_at=entry.at)
            for entry in entries
            if (facts := entry.facts or {}).get("card_id") == card.card_id.hex
            and facts.get("status") != CardStatus.DENIED
        )

    def _commit(self, row: TaskRow, decisions: tuple[TaskDecision, ...]) -> TaskCommit | None:
        task = row.task
        approval = next((each for each in decisions if each.verdict is Verdict.APPROVE), None)
        if approval is None or approval.result_sha256 is None:
            return None
        versions = self._database.state.get((task.tenant_id, task.state_key or ""), [])
        version = next((entry.version for entry in versions if entry.task_id == task.task_id), None)
        return TaskCommit(
            attempt=approval.attempt,
            result_sha256=approval.result_sha256,
            committed_at=approval.decided_at,
            state_key=task.state_key if version else None,
            state_version=version,
        )

    def _retried_as(self, row: TaskRow) -> tuple[UUID, ...]:
        rows = self._database.tasks.values()
        copies = (copy.task.task_id for copy in rows if copy.task.parent_task_id == row.task.task_id)
        return tuple(sorted(copies))

    def _entries(self, row: TaskRow, *kinds: str) -> list[AuditEntry]:
        entries = self._database.audit[row.task.tenant_id]
        return [entry for entry in entries if entry.task_id == row.task.task_id and entry.kind in kinds]

    def _asked(self, tenant_id: str, task_id: UUID) -> TaskRow:
        """The task that somebody asks for; where the tenant has none, that goes on record."""
        row = self._database.opened().tasks.get((tenant_id, task_id))
        if row is None:
            self._database.refuse(tenant_id, refused_event("app", format_id(IdKind.TASK, task_id), "read"))
            raise TaskNotFound
        return row


def standing(row: TaskRow) -> TaskStanding:
    """How the task stands."""
    task = row.task
    return TaskStanding(
        tenant_id=task.tenant_id,
        plan_id=task.plan_id,
        task_id=task.task_id,
        parent_task_id=task.parent_task_id,
        wave_no=task.wave_no,
        ordinal=task.ordinal,
        skill=task.skill,
        state=row.state,
        attempt=row.attempt,
        max_attempts=task.max_attempts,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _place(row: TaskRow) -> tuple[int, int, int]:
    return -row.task.plan_id.int, row.task.wave_no, row.task.ordinal
