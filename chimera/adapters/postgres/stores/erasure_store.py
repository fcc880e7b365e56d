"""Erasing a person's data, in PostgreSQL."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import ChainAppender
from chimera.adapters.postgres.steps.plan_rows import not_found
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.errors import Conflict, TaskNotFound
from chimera.models.audit.erasure import Erased, Erasure, erased_events
from chimera.models.ids import IdKind, format_id
from chimera.models.work.plan import ENDED, PlanState
from chimera.ports import erasure_store as port

_SQL = statements("erasure_store")

Connection = psycopg.Connection[DictRow]


class ErasureStore(port.ErasureStore):
    """In the role `owner`. Locks plans, then the audit's head, as whoever decides does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def erase(self, erasure: Erasure) -> Erased:  # noqa: D102  see the port
        tenant_id = erasure.tenant_id
        with (
            refusals_noted(self._database, tenant_id, erasure.asked_for, "erase", erasure.actor),
            self._database.transaction(tenant_id) as connection,
        ):
            plans, tasks, about = _locked_family(connection, erasure)
            scope = {"tenant": tenant_id, "plans": plans, "task_ids": tasks}
            done = {name: connection.execute(_SQL[f"erase_{name}"], scope) for name in _ERASED}
            connection.execute(_SQL["erase_revisions"], scope)
            connection.execute(_SQL["forget_replanned"], scope)
            if erasure.plan_id is not None:
                done["plans"] = connection.execute(_SQL["erase_plans"], scope)
            erased = Erased(**{name: _sorted(cursor.fetchall(), name) for name, cursor in done.items()})
            if not erased.nothing:
                ChainAppender(connection, tenant_id).append(erased_events(erasure, erased, about))
        return erased


_ERASED = ("tasks", "results", "cards", "state")


def _locked_family(connection: Connection, erasure: Erasure) -> tuple[list[UUID], list[UUID], UUID]:
    """The plans that hold what is to be erased, locked; the tasks; and the plan that was asked for, or the task's.

    Raises:
        PlanNotFound, TaskNotFound: there is none.
        Conflict: one of the plans has not ended.
    """
    locked: set[UUID] = set()
    while True:
        pairs = _pairs(connection, erasure)
        found = {plan for _, plan in pairs}
        if found <= locked:  # nobody made another copy before the last of them was locked
            break
        scope = {"tenant": erasure.tenant_id, "plans": sorted(found)}
        for row in connection.execute(_SQL["lock_plans"], scope).fetchall():
            if PlanState(row["state"]) not in ENDED:
                name = format_id(IdKind.PLAN, row["plan_id"])
                raise Conflict(f"{name} is {row['state']}: erase when it has ended, or cancel it first")
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
