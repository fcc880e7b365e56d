"""Decisions and what they change, in PostgreSQL: one transaction, all or nothing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn
from uuid import UUID

import psycopg
from psycopg.rows import DictRow
from pydantic import ValidationError

from chimera.adapters.postgres.audit import Head
from chimera.adapters.postgres.database import Database, columns, statements
from chimera.errors import CardAlreadyDecided, CardNotFound, Conflict
from chimera.failpoints import Failpoint, failpoint
from chimera.models.audit import AuditEvent
from chimera.models.decision import Decision, Ruling, Verdict
from chimera.models.gate import Staged, stopped
from chimera.models.record import canonical_json
from chimera.models.result import OUTCOME, FailureOutcome
from chimera.models.review import CardStatus
from chimera.models.task import TaskState
from chimera.models.wave import WaveRef
from chimera.ports import decision_store as port
from chimera.ports.decision_store import CardDecision, LostTask, OpenWave, WaveDecision

_SQL = statements("decision_store")
_JUDGE = "judge"

# The counter of a wave's row that a task in each state is counted by.
_COUNTERS = {
    TaskState.APPROVED: "approved",
    TaskState.DENIED: "denied",
    TaskState.EXHAUSTED: "exhausted",
    TaskState.CANCELLED: "cancelled",
    TaskState.EXPIRED: "cancelled",
    TaskState.IN_REVIEW: "in_review",
}


class DecisionStore(port.DecisionStore):
    """In the role `judge`. Locks the wave first, the audit's head last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_wave(self, wave: WaveRef) -> OpenWave:  # noqa: D102  see the port
        with self._database.transaction(wave.tenant_id) as connection:
            staged = connection.execute(_SQL["staged"], _scope(wave))
            lost = connection.execute(_SQL["lost"], _scope(wave))
            return OpenWave(
                staged=tuple(_staged(row) for row in staged),
                lost=tuple(LostTask.model_validate(row) for row in lost),
            )

    def decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> int:  # noqa: D102
        try:
            return self._decide_wave(wave, decisions)
        except _PlanStopped:
            return 0  # what is open is ended by stop_wave

    def _decide_wave(self, wave: WaveRef, decisions: Sequence[WaveDecision]) -> int:
        with self._database.transaction(wave.tenant_id) as connection:
            connection.execute(_SQL["lock_wave"], _scope(wave))
            failpoint(Failpoint.JUDGE_LOCKED, wave.tenant_id)
            writing = _Writing(connection, wave)
            decisions = writing.write_state(decisions)
            failpoint(Failpoint.JUDGE_STATE_WRITTEN, wave.tenant_id)
            found = writing.move_tasks(decisions)
            if not found:
                return 0
            failpoint(Failpoint.JUDGE_TASKS_MOVED, wave.tenant_id)
            writing.open_cards(found)
            failpoint(Failpoint.JUDGE_CARDS_OPENED, wave.tenant_id)
            moved = Counter(item.decision.ruling.next_state for item in found)
            writing.count(moved)
            failpoint(Failpoint.JUDGE_COUNTED, wave.tenant_id)
            writing.record([item.decision for item in found])
            failpoint(Failpoint.JUDGE_COMMITS_WRITTEN, wave.tenant_id)
        return moved[TaskState.QUEUED]

    def open_waves(self, tenant_id: str, plan_id: UUID) -> list[WaveRef]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["open_waves"], {"tenant": tenant_id, "plan": plan_id})
            return [WaveRef(tenant_id=tenant_id, plan_id=plan_id, wave_no=row["wave_no"]) for row in rows]

    def stop_wave(self, wave: WaveRef, policy_version: str) -> None:  # noqa: D102
        with self._database.transaction(wave.tenant_id) as connection:
            connection.execute(_SQL["lock_wave"], _scope(wave))
            plan = connection.execute(_SQL["lock_plan"], _scope(wave)).fetchone()
            if plan is None or plan["state"] != "stopping":
                return
            ruling = stopped(TaskState(plan["stop_state"]))
            end = {"end": ruling.next_state}
            tasks = connection.execute(_SQL["stop_tasks"], _scope(wave) | end).fetchall()
            if not tasks:
                return
            ids = {"task_ids": [task["task_id"] for task in tasks]}
            connection.execute(_SQL["stop_cards"], _scope(wave) | end | ids)
            reviewed = sum(task["was"] == TaskState.IN_REVIEW for task in tasks)
            writing = _Writing(connection, wave)
            writing.count(Counter({ruling.next_state: len(tasks), TaskState.IN_REVIEW: -reviewed}))
            writing.record(
                [
                    Decision(
                        task_id=task["task_id"],
                        attempt=task["attempt"],
                        ruling=ruling,
                        result_sha256=b"",
                        decided_by=_JUDGE,
                        policy_version=policy_version,
                    )
                    for task in tasks
                ],
                stopping=True,
            )
            failpoint(Failpoint.STOP_WAVE_CLOSING, wave.tenant_id)

    def decide_card(self, tenant_id: str, decision: CardDecision, policy_version: str) -> None:  # noqa: D102
        try:
            self._decide_card(tenant_id, decision, policy_version)
        except _PlanStopped:
            raise Conflict("the plan was stopped: nothing of it is committed any more") from None

    def _decide_card(self, tenant_id: str, decision: CardDecision, policy_version: str) -> None:
        with self._database.transaction(tenant_id) as connection:
            values = {"tenant": tenant_id, "card": decision.card_id}
            card = connection.execute(_SQL["card"], values).fetchone()
            if card is None:
                raise CardNotFound(f"tenant {tenant_id!r} has no review card rc_{decision.card_id.hex}")
            wave = WaveRef(tenant_id=tenant_id, plan_id=card["plan_id"], wave_no=card["wave_no"])
            connection.execute(_SQL["lock_wave"], _scope(wave))
            failpoint(Failpoint.REVIEW_LOCKED, tenant_id)
            status = CardStatus.APPROVED if decision.approve else CardStatus.DENIED
            values |= {"status": status, "version": decision.version}
            values |= {"decided_by": decision.decided_by, "note": decision.note}
            if connection.execute(_SQL["decide_card"], values).fetchone() is None:
                _lost_race(connection, tenant_id, decision)
            writing = _Writing(connection, wave)
            item = _reviewed(card, decision, policy_version)
            [item] = writing.write_state([item])
            ruling = item.decision.ruling
            if ruling.next_state is TaskState.QUEUED:
                raise Conflict("shared state has changed since this result was made: deny it, or run the plan again")
            connection.execute(
                _SQL["move_reviewed_task"],
                {"tenant": tenant_id, "task": card["task_id"], "state": ruling.next_state},
            )
            writing.count(Counter({ruling.next_state: 1, TaskState.IN_REVIEW: -1}))
            facts = {
                "card_id": decision.card_id.hex,
                "status": status,
                "version": decision.version,
                "note": decision.note,
            }
            event = AuditEvent(
                kind="review.decided",
                actor=decision.decided_by,
                plan_id=card["plan_id"],
                task_id=card["task_id"],
                facts=facts,
            )
            writing.record([item.decision], before=[event])


class _PlanStopped(Exception):
    """Raised inside a deciding transaction, which is then rolled back."""


class _Writing:
    """The steps of a deciding transaction on one wave."""

    def __init__(self, connection: psycopg.Connection[DictRow], wave: WaveRef) -> None:
        self._connection = connection
        self._wave = wave
        self._scope = _scope(wave)
        self._events: list[AuditEvent] = []
        self._state_versions: dict[UUID, tuple[str, int]] = {}

    def write_state(self, decisions: Sequence[WaveDecision]) -> list[WaveDecision]:
        """Changes shared state; where it was not at the version that the task saw, its approval falls."""
        asking = [item for item in decisions if item.state_key is not None]
        if not asking:
            return list(decisions)
        ids = {"task_ids": [item.decision.task_id for item in asking]}
        # Read, not computed in SQL: PostgreSQL's JSON operators do not take every text that JSON can hold.
        outputs = {
            row["task_id"]: canonical_json(row["outcome"]["output"])
            for row in self._connection.execute(_SQL["outputs"], self._scope | ids)
        }
        wanted: dict[str, WaveDecision] = {}
        for item in asking:
            if item.state_key is not None and item.decision.task_id in outputs:
                wanted.setdefault(item.state_key, item)  # of two that want one key the first in the plan wins
        rows = [
            (key, item.state_version, outputs[item.decision.task_id], item.decision.task_id, item.decision.attempt)
            for key, item in sorted(wanted.items())  # in one order, so that two waves do not wait for each other
        ]
        if not rows:
            return [self._fallen(item) for item in decisions]
        arrays = columns(rows, "keys versions values task_ids attempts")
        for row in self._connection.execute(_SQL["write_state"], self._scope | arrays):
            self._state_versions[row["task_id"]] = (row["key"], row["version"])
        return [self._fallen(item) for item in decisions]

    def move_tasks(self, decisions: Sequence[WaveDecision]) -> list[WaveDecision]:
        """Moves the tasks; returns the decisions whose task was still where it was found."""
        groups: dict[tuple[TaskState, int, str | None, TaskState], list[UUID]] = {}
        for item in decisions:
            ruling, attempt = item.decision.ruling, item.decision.attempt
            feedback = _reasons(ruling) if ruling.next_state is TaskState.QUEUED else None
            # Given up without a result only where there still is none.
            found = TaskState.STAGED if item.decision.result_sha256 else TaskState.RUNNING
            groups.setdefault((ruling.next_state, attempt, feedback, found), []).append(item.decision.task_id)
        updates = [
            self._connection.execute(
                _SQL["move_tasks"],
                self._scope
                | {"state": state, "attempt": attempt, "feedback": feedback, "found": found}
                | {"task_ids": task_ids},
            )
            for (state, attempt, feedback, found), task_ids in groups.items()
        ]
        moved = {row["task_id"] for update in updates for row in update}
        return [item for item in decisions if item.decision.task_id in moved]

    def open_cards(self, decisions: Sequence[WaveDecision]) -> None:
        """Opens a card for each hitl."""
        rows = [
            (
                item.card_id,
                item.decision.task_id,
                item.decision.attempt,
                item.skill,
                item.decision.result_sha256,
                _reasons(item.decision.ruling),
                item.confidence,
                item.decision.policy_version,
            )
            for item in decisions
            if item.card_id is not None
        ]
        if rows:
            names = "card_ids task_ids attempts skills hashes reasons confidences policies"
            self._connection.execute(_SQL["open_cards"], self._scope | columns(rows, names))

    def count(self, moved: Counter[TaskState]) -> None:
        """Counts the wave's tasks anew; where that closes its plan, settles the plan."""
        counts: Counter[str] = Counter()
        for state, number in moved.items():
            if state is not TaskState.QUEUED:
                counts[_COUNTERS[state]] += number
        values = {name: counts[name] for name in {*_COUNTERS.values()}} | {"requeued": moved[TaskState.QUEUED] > 0}
        row = self._connection.execute(_SQL["count_wave"], self._scope | values).fetchone()
        if row is None or row["state"] != "closed":
            return
        plan = self._connection.execute(_SQL["lock_plan"], self._scope).fetchone()
        end = (plan and plan["stop_state"]) or "completed"
        settled = self._connection.execute(_SQL["settle_plan"], self._scope | {"end": end}).fetchone()
        if settled is not None:
            kind = f"plan.{settled['state']}"
            self._events.append(AuditEvent(kind=kind, actor=_JUDGE, plan_id=self._wave.plan_id, facts={}))

    def record(
        self, decisions: Sequence[Decision], before: Sequence[AuditEvent] = (), *, stopping: bool = False
    ) -> None:
        """Writes audit entries, decisions and commits: the last step, because it holds the tenant's audit head.

        Raises:
            _PlanStopped: the plan was stopped meanwhile. Asked with the head locked: a stop is recorded in the
                same chain, so either it is seen here or it comes after all that is written here.
        """
        events = [*before, *(self._event(decision) for decision in decisions), *self._events]
        head = Head(self._connection, self._wave.tenant_id)
        plan = self._connection.execute(_SQL["plan"], self._scope).fetchone()
        if not stopping and (plan is None or plan["stop_state"] is not None):
            raise _PlanStopped
        entries = head.append(events)[len(before) :]
        failpoint(Failpoint.JUDGE_AUDITED, self._wave.tenant_id)
        rows = [
            (
                decision.task_id,
                decision.attempt,
                decision.ruling.verdict,
                decision.result_sha256,
                decision.ruling.final,
                _reasons(decision.ruling),
                decision.policy_version,
                decision.decided_by,
                entry.seq,
            )
            for decision, entry in zip(decisions, entries, strict=False)
        ]
        arrays = columns(rows, "task_ids attempts verdicts hashes finals reasons policies deciders seqs")
        self._connection.execute(_SQL["insert_decisions"], self._scope | arrays | {"at": head.at})
        failpoint(Failpoint.JUDGE_DECISIONS_WRITTEN, self._wave.tenant_id)
        commits = [
            (
                decision.task_id,
                decision.attempt,
                decision.result_sha256,
                *self._state_versions.get(decision.task_id, (None, None)),
            )
            for decision in decisions
            if decision.ruling.verdict is Verdict.APPROVE
        ]
        if commits:
            arrays = columns(commits, "task_ids attempts hashes keys versions")
            self._connection.execute(_SQL["insert_commits"], self._scope | arrays | {"at": head.at})

    def _fallen(self, item: WaveDecision) -> WaveDecision:
        if item.on_conflict is None or item.decision.task_id in self._state_versions:
            return item
        decision = item.decision.model_copy(update={"ruling": item.on_conflict})
        return item.model_copy(update={"decision": decision})

    def _event(self, decision: Decision) -> AuditEvent:
        ruling = decision.ruling
        return AuditEvent(
            kind="task.decided",
            actor=decision.decided_by,
            plan_id=self._wave.plan_id,
            task_id=decision.task_id,
            facts={
                "attempt": decision.attempt,
                "verdict": ruling.verdict,
                "state": ruling.next_state,
                "final": ruling.final,
                "reasons": [reason.model_dump(mode="json") for reason in ruling.reasons],
                "policy_version": decision.policy_version,
                "result_sha256": decision.result_sha256.hex(),
            },
        )


def _scope(wave: WaveRef) -> dict[str, Any]:
    return {"tenant": wave.tenant_id, "plan": wave.plan_id, "wave_no": wave.wave_no}


def _staged(row: DictRow) -> Staged:
    try:
        outcome = OUTCOME.validate_python(row["outcome"], strict=False)
    except ValidationError:
        # Staged by something else than this release's worker: it must not keep the wave from being judged.
        outcome = FailureOutcome(code="unreadable_result", message="the staged result is no outcome", retryable=False)
    return Staged.model_validate(row | {"outcome": outcome})


def _reviewed(card: DictRow, decision: CardDecision, policy_version: str) -> WaveDecision:
    """What a person decided about a card, as a decision on its task."""
    approve = decision.approve
    ruling = Ruling(
        verdict=Verdict.APPROVE if approve else Verdict.DENY,
        next_state=TaskState.APPROVED if approve else TaskState.DENIED,
    )
    back = Ruling(verdict=Verdict.DENY, next_state=TaskState.QUEUED)
    commits_state = approve and card["state_key"] is not None
    return WaveDecision(
        decision=Decision(
            task_id=card["task_id"],
            attempt=card["attempt"],
            ruling=ruling,
            result_sha256=card["result_sha256"],
            decided_by=decision.decided_by,
            policy_version=policy_version,
        ),
        state_key=card["state_key"] if commits_state else None,
        state_version=card["state_version"] or 0,
        on_conflict=back if commits_state else None,
    )


def _reasons(ruling: Ruling) -> str:
    return canonical_json([reason.model_dump(mode="json") for reason in ruling.reasons])


def _lost_race(connection: psycopg.Connection[DictRow], tenant_id: str, decision: CardDecision) -> NoReturn:
    """Says why a card could not be decided."""
    values = {"tenant": tenant_id, "card": decision.card_id}
    card = connection.execute(_SQL["card"], values).fetchone()
    assert card is not None
    name = f"review card rc_{decision.card_id.hex}"
    if card["status"] != CardStatus.PENDING:
        by = f" by {card['decided_by']}" if card["decided_by"] else ""
        raise CardAlreadyDecided(f"{name} was {card['status']}{by} already")
    raise Conflict(f"{name} has changed since it was shown (version {card['version']}): look at it again")
