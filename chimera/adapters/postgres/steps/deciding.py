"""The steps of a deciding transaction: what every decision writes, whoever decides."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import columns, statements
from chimera.adapters.postgres.steps.chain import Head
from chimera.adapters.postgres.steps.policy_in_force import version_in_force
from chimera.adapters.postgres.steps.reservations import How, accounts, settle
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.failpoints import Failpoint, failpoint
from chimera.models.audit.audit import AuditEntry, AuditEvent
from chimera.models.record import canonical_json
from chimera.models.work.decision import Decision, Ruling, Verdict
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports.decision_store import PolicyChanged, WaveDecision

_SQL = statements("deciding")
JUDGE = "judge"

# The counter of a wave's row that a task in each state is counted by.
_COUNTERS = {
    TaskState.APPROVED: "approved",
    TaskState.DENIED: "denied",
    TaskState.EXHAUSTED: "exhausted",
    TaskState.CANCELLED: "cancelled",
    TaskState.EXPIRED: "cancelled",
    TaskState.IN_REVIEW: "in_review",
}

# What is known of the cost of a task's attempt, by where the task was found; elsewhere it is settled already.
_COST_KNOWN = {TaskState.QUEUED: How.UNUSED, TaskState.RUNNING: How.UNKNOWN, TaskState.STAGED: How.REPORTED}


class PlanStopped(Exception):
    """Raised inside a deciding transaction, which is then rolled back."""


class Writing:
    """The steps of a deciding transaction on one wave."""

    def __init__(self, connection: psycopg.Connection[DictRow], wave: WaveRef, sealing: Sealing | None) -> None:
        self._connection = connection
        self._sealing = sealing
        self._wave = wave
        self._scope = scope_of(wave)
        self._events: list[AuditEvent] = []
        self._state_versions: dict[UUID, tuple[str, int]] = {}
        # How many tasks wait for their planner now.
        self._asked = 0
        self._cards: dict[UUID, UUID] = {}
        self._accounts = accounts(connection, wave.tenant_id)

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
        groups: dict[tuple[str, TaskState, int, str | None, TaskState], list[UUID]] = {}
        for item in decisions:
            ruling, attempt = item.decision.ruling, item.decision.attempt
            feedback = reasons_text(ruling) if ruling.next_state is TaskState.QUEUED else None
            key = (_moving(item), ruling.next_state, attempt, feedback, found_in(item))
            groups.setdefault(key, []).append(item.decision.task_id)
        updates = [
            self._connection.execute(
                _SQL[statement],
                self._scope
                | {"state": state, "attempt": attempt, "feedback": feedback, "found": found}
                | {"task_ids": task_ids},
            )
            for (statement, state, attempt, feedback, found), task_ids in groups.items()
        ]
        moved = {row["task_id"]: row["asked"] for update in updates for row in update}
        self._asked = sum(moved.values())
        return [item for item in decisions if item.decision.task_id in moved]

    def settle(self, found: Iterable[tuple[UUID, TaskState]]) -> None:
        """Puts what attempts cost in the place of what was set aside for them; of each task, where it was found."""
        row = self._accounts.fetchone()
        if row is not None and row["found"]:
            over = [(task_id, _COST_KNOWN[state]) for task_id, state in found if state in _COST_KNOWN]
            self._events += settle(self._connection, self._wave.tenant_id, self._wave.plan_id, over)

    def open_cards(self, decisions: Sequence[WaveDecision]) -> None:
        """Opens a card for each hitl."""
        rows = [
            (
                item.card_id,
                item.decision.task_id,
                item.decision.attempt,
                item.skill,
                item.decision.result_sha256,
                reasons_text(item.decision.ruling),
                item.confidence,
                item.decision.policy_version,
                item.approvals_needed,
            )
            for item in decisions
            if item.card_id is not None
        ]
        self._cards = {task_id: card_id for card_id, task_id, *_ in rows}
        if rows:
            names = "card_ids task_ids attempts skills hashes reasons confidences policies quorums"
            self._connection.execute(_SQL["open_cards"], self._scope | columns(rows, names))
        self._events += [
            AuditEvent(
                kind="review.opened",
                actor=JUDGE,
                plan_id=self._wave.plan_id,
                task_id=item.decision.task_id,
                facts={"card_id": item.card_id.hex, "approvals_needed": item.approvals_needed},
            )
            for item in decisions
            if item.card_id is not None
        ]

    def count(self, moved: Counter[TaskState]) -> None:
        """Counts the wave's tasks anew; where that closes its plan, settles the plan."""
        counts: Counter[str] = Counter()
        for state, number in moved.items():
            if state is not TaskState.QUEUED:
                counts[_COUNTERS[state]] += number
        values: dict[str, Any] = {name: counts[name] for name in {*_COUNTERS.values()}}
        values |= {"requeued": moved[TaskState.QUEUED] > self._asked, "asked": self._asked > 0}
        row = self._connection.execute(_SQL["count_wave"], self._scope | values).fetchone()
        if row is None or row["state"] != "closed":
            return
        plan = lock_plan(self._connection, self._wave)
        end = (plan and plan["stop_state"]) or "completed"
        settled = self._connection.execute(_SQL["settle_plan"], self._scope | {"end": end}).fetchone()
        if settled is not None:
            kind = f"plan.{settled['state']}"
            self._events.append(AuditEvent(kind=kind, actor=JUDGE, plan_id=self._wave.plan_id, facts={}))

    def record(
        self,
        decisions: Sequence[Decision],
        before: Sequence[AuditEvent] = (),
        *,
        stopping: bool = False,
        gated: bool = False,
        recorded: Callable[[Sequence[AuditEntry]], None] | None = None,
    ) -> None:
        """Writes audit entries, decisions and commits: the last step, because it holds the tenant's audit head.

        What the commits need beside the decisions, `recorded` writes: it is called with the entries of `before`.

        Raises:
            PlanStopped: the plan was stopped meanwhile. Asked with the head locked: a stop is recorded in the
                same chain, so either it is seen here or it comes after all that is written here.
            PolicyChanged: what was `gated` was so by another policy than the one in force; for the same reason.
            AuditUnavailable: the tenant's audit should have been sealed by a checkpoint long ago.
        """
        events = [*before, *(self._event(decision) for decision in decisions), *self._events]
        head = Head(self._connection, self._wave.tenant_id)
        asked = self._connection.execute(_SQL["plan"], self._scope)
        if self._sealing is not None:
            self._sealing.refuse_unsealed(self._connection, self._wave.tenant_id)
        plan = asked.fetchone()
        if not stopping and (plan is None or plan["stop_state"] is not None):
            raise PlanStopped
        if gated and {decision.policy_version for decision in decisions} != {
            version_in_force(self._connection, self._wave.tenant_id)
        }:
            raise PolicyChanged
        entries = head.append(events)
        if recorded is not None:
            recorded(entries[: len(before)])
        entries = entries[len(before) :]
        failpoint(Failpoint.JUDGE_AUDITED, self._wave.tenant_id)
        rows = [
            (
                decision.task_id,
                decision.attempt,
                decision.ruling.verdict,
                decision.result_sha256,
                decision.ruling.final,
                reasons_text(decision.ruling),
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
        card_id = self._cards.get(decision.task_id)
        opened = {"card_id": card_id.hex} if card_id else {}
        key, version = self._state_versions.get(decision.task_id, (None, None))
        changed = {"state_key": key, "state_version": version} if key else {}
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
                "committed": ruling.verdict is Verdict.APPROVE,
                "reasons": [reason.model_dump(mode="json") for reason in ruling.reasons],
                "policy_version": decision.policy_version,
                "result_sha256": decision.result_sha256.hex(),
                **opened,
                **changed,
            },
        )


def scope_of(wave: WaveRef) -> dict[str, Any]:
    """Which wave, as the statements name it."""
    return {"tenant": wave.tenant_id, "plan": wave.plan_id, "wave_no": wave.wave_no}


def lock_wave(connection: psycopg.Connection[DictRow], wave: WaveRef) -> None:
    """Locks a wave: the first lock of whoever decides on its tasks or has them planned again."""
    connection.execute(_SQL["lock_wave"], scope_of(wave))


def lock_plan(connection: psycopg.Connection[DictRow], wave: WaveRef) -> DictRow | None:
    """Locks the wave's plan; returns its `stop_state`."""
    return connection.execute(_SQL["lock_plan"], scope_of(wave)).fetchone()


def _moving(item: WaveDecision) -> str:
    """The statement that moves the decision's task."""
    ruling = item.decision.ruling
    if item.given_up:
        return "end_given_up"
    return "send_back" if ruling.to_planner else "move_tasks"


def found_in(item: WaveDecision) -> TaskState:
    """Where its task must still be; given up without a result it is only where there still is none."""
    if item.refused:
        return TaskState.QUEUED
    return TaskState.STAGED if item.decision.result_sha256 else TaskState.RUNNING


def reasons_text(ruling: Ruling) -> str:
    """The reasons as they are stored: canonical JSON."""
    return canonical_json([reason.model_dump(mode="json") for reason in ruling.reasons])
