"""Erasing a person's data, in PostgreSQL."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.adapters.postgres.steps.deciding import DecidingTransaction
from chimera.adapters.postgres.steps.plan_rows import not_found
from chimera.adapters.postgres.steps.policy_in_force import version_in_force
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.errors import Conflict, TaskNotFound
from chimera.models.audit.erasure import Erased, Erasure, card_closed_event, erased_events
from chimera.models.gate.deciding import OpenTask, WaveDecision, erased_decision
from chimera.models.ids import IdKind, format_id
from chimera.models.work.plan import ENDED, PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef

_SQL = statements("erasure_store")

Connection = psycopg.Connection[DictRow]


class ErasureStore:
    """In the role `owner`. Locks waves, then plans, then the audit's head, as a decision does.

    What it erases cannot be brought back; the hashes of it stay, and the audit stays whole.
    """

    def __init__(self, database: Database, sealing: Sealing | None = None) -> None:
        self._database = database
        # None where no checkpoints are made.
        self._sealing = sealing

    def erase(self, erasure: Erasure) -> Erased:
        """Erases inputs, labels, outcomes, notes and shared values, and names what on the record, in one transaction.

        Copies go with it: what tries a task or a plan again, and what it tries again. Of a plan also its goal, its
        inputs and the message of its failure. The same again erases nothing and records nothing.

        What waits for people is denied first, by the actor and with the reason: its card is closed, and a plan of
        which nothing else waits ends.

        Raises:
            PlanNotFound: the tenant has no such plan.
            TaskNotFound: the tenant has no such task.
            Conflict: a plan that holds some of it has not ended, and waits for more than people; or changes meanwhile.
            AuditUnavailable: something is to be denied, and the audit should have been sealed long ago.
            StoreUnavailable: PostgreSQL does not answer; nothing is erased.
        """
        tenant_id = erasure.tenant_id
        with (
            refusals_noted(self._database, tenant_id, erasure.asked_for, "erase", erasure.actor),
            self._database.transaction(tenant_id) as connection,
        ):
            waves = self._locked_waves(connection, erasure)
            plans, tasks, about = _locked_family(connection, erasure)
            scope = {"tenant": tenant_id, "plans": plans, "task_ids": tasks}
            closed = _deny_what_waits(connection, erasure, scope, waves)
            done = {name: connection.execute(_SQL[f"erase_{name}"], scope) for name in _ERASED}
            connection.execute(_SQL["erase_revisions"], scope)
            connection.execute(_SQL["forget_replanned"], scope)
            if erasure.plan_id is not None:
                done["plans"] = connection.execute(_SQL["erase_plans"], scope)
            erased = Erased(**{name: _sorted(cursor.fetchall(), name) for name, cursor in done.items()}, closed=closed)
            if not erased.nothing:
                append(connection, tenant_id, erased_events(erasure, erased, about))
        return erased

    def _locked_waves(self, connection: Connection, erasure: Erasure) -> "Waves":
        """The waves of the family in which something waits for people, locked: the first locks of who decides."""
        plans = sorted({plan for _, plan in _pairs(connection, erasure)})
        rows = connection.execute(_SQL["waves_in_review"], {"tenant": erasure.tenant_id, "plans": plans}).fetchall()
        refs = [WaveRef(tenant_id=erasure.tenant_id, plan_id=row["plan_id"], wave_no=row["wave_no"]) for row in rows]
        return {ref: DecidingTransaction(connection, ref, self._sealing) for ref in refs}


Waves = dict[WaveRef, DecidingTransaction]


def _deny_what_waits(
    connection: Connection, erasure: Erasure, scope: dict[str, Any], waves: Waves
) -> tuple[tuple[UUID, UUID], ...]:
    """Denies what of the family waits for people; returns the tasks and their cards.

    Raises:
        Conflict: it came to wait for people only now.
        AuditUnavailable: see DecidingTransaction.
    """
    rows = connection.execute(_SQL["in_review"], scope).fetchall()
    if not rows:
        return ()
    policy_version = version_in_force(connection, erasure.tenant_id)
    cards: dict[WaveRef, list[DictRow]] = {}
    for row in rows:
        ref = WaveRef(tenant_id=erasure.tenant_id, plan_id=row["plan_id"], wave_no=row["wave_no"])
        cards.setdefault(ref, []).append(row)
    if not cards.keys() <= waves.keys():
        raise Conflict(f"{erasure.asked_for} has changed just now: erase it again")
    values = {"tenant": erasure.tenant_id, "who": erasure.actor, "card_ids": [row["card_id"] for row in rows]}
    connection.execute(_SQL["deny_cards"], values)
    denied: dict[WaveRef, list[WaveDecision]] = {}
    for ref, of_wave in cards.items():
        denied[ref] = waves[ref].prepare([_denial(row, erasure, policy_version) for row in of_wave])
    # All are prepared before the first is recorded: that holds the audit's head.
    for ref, decisions in denied.items():
        waves[ref].record(decisions, [card_closed_event(erasure, ref.plan_id, row) for row in cards[ref]])
    return tuple(sorted((row["task_id"], row["card_id"]) for row in rows))


def _denial(row: DictRow, erasure: Erasure, policy_version: str) -> WaveDecision:
    task = OpenTask(
        task_id=row["task_id"], attempt=row["attempt"], agent_id=row["agent_id"], found=TaskState(row["found"])
    )
    return erased_decision(task, row["result_sha256"], erasure.actor, erasure.reason, policy_version)


_ERASED = ("tasks", "results", "cards", "state")


def _locked_family(connection: Connection, erasure: Erasure) -> tuple[list[UUID], list[UUID], UUID]:
    """The plans that hold what is to be erased, locked; the tasks; and the plan that was asked for, or the task's.

    Raises:
        PlanNotFound, TaskNotFound: there is none.
        Conflict: one of the plans has not ended, and waits for more than people.
    """
    locked: set[UUID] = set()
    while True:
        pairs = _pairs(connection, erasure)
        found = {plan for _, plan in pairs}
        if found <= locked:  # nobody made another copy before the last of them was locked
            break
        scope = {"tenant": erasure.tenant_id, "plans": sorted(found)}
        for row in connection.execute(_SQL["lock_plans"], scope).fetchall():
            if PlanState(row["state"]) not in ENDED | {PlanState.IN_REVIEW}:
                name = format_id(IdKind.PLAN, row["plan_id"])
                raise Conflict(f"{name} is {row['state']}: erase when only people are waited for, or cancel it first")
        locked = found
    if erasure.task_id is not None:
        plan_of = {task: plan for task, plan in pairs if task is not None}
        return sorted(locked), sorted(plan_of), plan_of[erasure.task_id]
    assert erasure.plan_id is not None
    rows = connection.execute(_SQL["tasks_of_plans"], {"tenant": erasure.tenant_id, "plans": sorted(locked)})
    return sorted(locked), [row["task_id"] for row in rows], erasure.plan_id


def _pairs(connection: Connection, erasure: Erasure) -> list[tuple[UUID | None, UUID]]:
    """The task and its copies, each with its plan; or the plan and those that try it again, without tasks."""
    scope = {"tenant": erasure.tenant_id, "plan": erasure.plan_id, "task": erasure.task_id}
    rows = connection.execute(_SQL["tasks_of" if erasure.task_id else "plans_of"], scope).fetchall()
    if not rows and erasure.plan_id is not None:
        raise not_found(erasure.tenant_id, erasure.plan_id)
    if not rows:
        raise TaskNotFound(f"tenant {erasure.tenant_id!r} has no task {erasure.asked_for}")
    return [(row.get("task_id"), row["plan_id"]) for row in rows]


def _sorted(rows: list[dict[str, Any]], name: str) -> tuple[Any, ...]:
    values = [tuple(row.values()) for row in rows]
    return tuple(sorted(value[0] if name in {"plans", "tasks"} else value for value in values))
