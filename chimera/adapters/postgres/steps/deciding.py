"""The deciding transaction: what every decision writes, whoever decides, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import columns, statements
from chimera.adapters.postgres.steps.chain import Appended, append
from chimera.adapters.postgres.steps.policy_in_force import version_in_force
from chimera.adapters.postgres.steps.reservations import accounts, settle
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.steps.shared_state import write_state
from chimera.adapters.postgres.steps.wave_rows import lock_wave, scope_of
from chimera.failpoints import Failpoint, failpoint
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.deciding import (
    JUDGE,
    NOTHING_DECIDED,
    Decided,
    OpenTask,
    WaveDecision,
    feedback_json,
    opened_events,
    reasons_json,
    stop_decision,
)
from chimera.models.record import canonical_json
from chimera.models.work.task import TaskState
from chimera.models.work.timing import PLANNER_MESSAGE_SECONDS
from chimera.models.work.wave import WaveRef
from chimera.ports.decision_store import PolicyChanged

_SQL = statements("deciding")

# Called with the entries of what was noted before the decisions, to write what refers to them.
Recorded = Callable[[Sequence[Appended]], None]


class PlanStopped(Exception):
    """Raised inside a deciding transaction, which is then rolled back."""


class DecidingTransaction:
    """Decides on tasks of one wave. The wave is its first lock, and the audit's head its last and shortest."""

    def __init__(self, connection: psycopg.Connection[DictRow], wave: WaveRef, sealing: Sealing | None) -> None:
        """Locks the wave."""
        self._connection = connection
        self._sealing = sealing
        self._wave = wave
        self._scope = scope_of(wave)
        self._events: list[AuditEvent] = []
        # The version of shared state that each task's approval made.
        self._state_versions: dict[UUID, int] = {}
        # How many tasks wait for their planner now.
        self._asked = 0
        lock_wave(connection, wave)

    def decide(
        self,
        decisions: Sequence[WaveDecision],
        noted: Sequence[AuditEvent] = (),
        *,
        recorded: Recorded | None = None,
    ) -> Decided:
        """Writes decisions and all that follows; returns those whose task was still where it was found.

        Args:
            decisions: in the plan's order.
            noted: what goes on record before them.
            recorded: writes what refers to the entries of `noted`.

        Raises:
            StateChanged: shared state has changed, and a decision has no second ruling for that.
            PlanStopped, PolicyChanged, AuditUnavailable: see `record`.
        """
        decisions = self.prepare(decisions)
        if not decisions:
            return NOTHING_DECIDED
        return self.record(decisions, noted, recorded=recorded)

    def prepare(self, decisions: Sequence[WaveDecision]) -> list[WaveDecision]:
        """All that decisions change before they are recorded; returns those whose task was still where it was found.

        Whoever decides on several waves in one transaction prepares them all before the first is recorded.

        Raises:
            StateChanged: as `decide`.
        """
        may_settle = accounts(self._connection, self._wave.tenant_id)
        self._state_versions, decisions = write_state(self._connection, self._scope, decisions)
        failpoint(Failpoint.JUDGE_STATE_WRITTEN, self._wave.tenant_id)
        decisions = self._move(decisions)
        if decisions:
            failpoint(Failpoint.JUDGE_TASKS_MOVED, self._wave.tenant_id)
            self._follow(decisions, may_settle)
        return decisions

    def stop(self, end: TaskState) -> Decided:
        """Ends every open task of the wave, and its card, because the plan ends so.

        Raises:
            AuditUnavailable: see `record`.
        """
        may_settle = accounts(self._connection, self._wave.tenant_id)
        tasks = self._connection.execute(_SQL["stop_tasks"], self._scope).fetchall()
        if not tasks:
            return NOTHING_DECIDED
        ids = {"task_ids": [task["task_id"] for task in tasks]}
        self._connection.execute(_SQL["stop_cards"], self._scope | {"end": end} | ids)
        policy_version = version_in_force(self._connection, self._wave.tenant_id)
        decisions = [stop_decision(OpenTask.model_validate(task, strict=False), end, policy_version) for task in tasks]
        self._follow(decisions, may_settle)
        return self.record(decisions, stopping=True)

    def note(self, noted: Sequence[AuditEvent], recorded: Recorded | None = None) -> None:
        """Puts on record what decides nothing yet: the last step, as it holds the audit's head.

        Raises:
            PlanStopped: as `record`.
        """
        entries = append(self._connection, self._wave.tenant_id, noted)
        self._not_stopped(self._connection.execute(_SQL["plan"], self._scope))
        if recorded is not None:
            recorded(entries)

    def _move(self, decisions: Sequence[WaveDecision]) -> list[WaveDecision]:
        """Moves the tasks; returns the decisions whose task was still where it was found."""
        groups: dict[tuple[str, TaskState, int, str | None, TaskState], list[UUID]] = {}
        for item in decisions:
            ruling = item.decision.ruling
            statement = "send_back" if ruling.to_planner else "move_tasks"
            key = (statement, ruling.next_state, item.decision.attempt, feedback_json(ruling), item.found)
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

    def _follow(self, decisions: Sequence[WaveDecision], may_settle: psycopg.Cursor[DictRow]) -> None:
        """What follows from decisions whose tasks were moved: cards, the counts of wave and plan, what it cost."""
        self._open_cards(decisions)
        failpoint(Failpoint.JUDGE_CARDS_OPENED, self._wave.tenant_id)
        self._count(decisions)
        failpoint(Failpoint.JUDGE_COUNTED, self._wave.tenant_id)
        self._settle(decisions, may_settle)

    def _open_cards(self, decisions: Iterable[WaveDecision]) -> None:
        """Opens a card for each hitl."""
        rows = [
            (
                item.card.card_id,
                item.decision.task_id,
                item.decision.attempt,
                item.card.skill,
                item.decision.result_sha256,
                reasons_json(item.decision.ruling),
                item.card.confidence,
                item.decision.policy_version,
                item.card.approvals_needed,
            )
            for item in decisions
            if item.card is not None
        ]
        if rows:
            names = "card_ids task_ids attempts skills hashes reasons confidences policies quorums"
            self._connection.execute(_SQL["open_cards"], self._scope | columns(rows, names))
            self._events += opened_events(self._wave, decisions)

    def _count(self, decisions: Iterable[WaveDecision]) -> None:
        """Counts the wave's tasks anew; where that closes its plan, settles the plan."""
        requeued = sum(item.decision.ruling.next_state is TaskState.QUEUED for item in decisions)
        values: dict[str, Any] = {"requeued": requeued > self._asked, "asked": self._asked > 0}
        values |= {"planner_message_seconds": PLANNER_MESSAGE_SECONDS}
        row = self._connection.execute(_SQL["count_wave"], self._scope | values).fetchone()
        if row is not None and row["plan_state"] is not None:
            kind = AuditKind.plan_is(row["plan_state"])
            self._events.append(AuditEvent(kind=kind, actor=JUDGE, plan_id=self._wave.plan_id, facts={}))

    def _settle(self, decisions: Iterable[WaveDecision], may_settle: psycopg.Cursor[DictRow]) -> None:
        """Puts what attempts cost in the place of what was set aside for them."""
        row = may_settle.fetchone()
        if row is not None and row["found"]:
            # Of one in review it is settled already.
            over = [item.decision.task_id for item in decisions if item.found is not TaskState.IN_REVIEW]
            self._events += settle(self._connection, self._wave.plan_id, over)

    def record(
        self,
        decisions: Sequence[WaveDecision],
        noted: Sequence[AuditEvent] = (),
        *,
        stopping: bool = False,
        recorded: Recorded | None = None,
    ) -> Decided:
        """Writes audit entries, decisions and commits: the last step, because it holds the tenant's audit head.

        Raises:
            PlanStopped: the plan was stopped meanwhile. Asked with the head locked: a stop is recorded in the
                same chain, so either it is seen here or it comes after all that is written here.
            PolicyChanged: what the gate decided it did by another policy than the one in force; for the same reason.
            AuditUnavailable: the tenant's audit should have been sealed by a checkpoint long ago.
        """
        if self._sealing is not None:
            self._sealing.refuse_unsealed(self._connection, self._wave.tenant_id)
        if noted:
            entries = append(self._connection, self._wave.tenant_id, noted)
            if recorded is not None:
                recorded(entries)
        values = self._scope | self._decided(decisions) | self._told() | {"stopping": stopping}
        row = self._connection.execute(_SQL["decide"], values).fetchone()
        assert row is not None
        if row["refused"] == "stopped":
            raise PlanStopped
        if row["refused"] is not None:
            raise PolicyChanged
        failpoint(Failpoint.JUDGE_COMMITS_WRITTEN, self._wave.tenant_id)
        return Decided(decisions=tuple(item.decision for item in decisions), trace_id=row["trace"])

    def _decided(self, decisions: Iterable[WaveDecision]) -> dict[str, Any]:
        """The decisions, with what an approval commits to shared state."""
        rows = [
            (
                decision.task_id,
                decision.attempt,
                decision.ruling.verdict,
                decision.result_sha256,
                decision.ruling.final,
                reasons_json(decision.ruling),
                decision.policy_version,
                decision.decided_by,
                decision.agent_id,
                state and state.key,
                self._state_versions.get(decision.task_id) if state else None,
            )
            for decision, state in ((item.decision, item.state) for item in decisions)
        ]
        names = "task_ids attempts verdicts hashes finals reasons policies deciders agents keys versions"
        return columns(rows, names)

    def _told(self) -> dict[str, Any]:
        """What else goes on record."""
        rows = [(event.kind.value, event.actor, event.task_id, canonical_json(event.facts)) for event in self._events]
        return columns(rows, "kinds actors event_tasks payloads")

    @staticmethod
    def _not_stopped(asked: psycopg.Cursor[DictRow]) -> None:
        plan = asked.fetchone()
        if plan is None or plan["stop_state"] is not None:
            raise PlanStopped
