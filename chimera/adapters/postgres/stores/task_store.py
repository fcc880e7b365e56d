"""Tasks as people look at them, in PostgreSQL."""

import json
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.errors import TaskNotFound
from chimera.models.ids import IdKind, format_id
from chimera.models.work.history import TaskHistory, TaskStanding
from chimera.models.work.task import TaskState
from chimera.ports import task_store as port

_SQL = statements("task_store")

_AFTER = {"after_plan": "plan_id", "after_wave": "wave_no", "after_ordinal": "ordinal"}


class TaskStore(port.TaskStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self, tenant_id: str, task_id: UUID) -> TaskHistory:  # noqa: D102  see the port
        with (
            refusals_noted(self._database, tenant_id, format_id(IdKind.TASK, task_id)),
            self._database.snapshot(tenant_id) as connection,
        ):
            return _history(connection, {"tenant": tenant_id, "task": task_id})

    def list_tasks(  # noqa: D102
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None = None,
        state: TaskState | None = None,
        skill: str | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> list[TaskStanding]:
        values: dict[str, Any] = {"tenant": tenant_id, "plan": plan_id, "state": state, "skill": skill, "limit": limit}
        behind = None if after is None else self._place(tenant_id, after)
        values |= {name: behind and behind[column] for name, column in _AFTER.items()}
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["tasks"], values)
            return [TaskStanding.model_validate(row, strict=False) for row in rows]

    def _place(self, tenant_id: str, task_id: UUID) -> DictRow:
        with (
            refusals_noted(self._database, tenant_id, format_id(IdKind.TASK, task_id)),
            self._database.transaction(tenant_id) as connection,
        ):
            row = connection.execute(_SQL["place"], {"tenant": tenant_id, "task": task_id}).fetchone()
            if row is None:
                raise _not_found(tenant_id, task_id)
            return row


def _history(connection: psycopg.Connection[DictRow], scope: dict[str, Any]) -> TaskHistory:
    task = connection.execute(_SQL["history"], scope).fetchone()
    if task is None:
        raise _not_found(scope["tenant"], scope["task"])
    found = {
        name: connection.execute(_SQL[name], scope).fetchall()
        for name in ("attempts", "late_results", "decisions", "cards")
    }
    found["attempts"] = [_attempt(row) for row in found["attempts"]]
    found["decisions"] = [_with_user(row) for row in found["decisions"]]
    found["cards"] = _cards(connection, scope, found["cards"])
    commit = connection.execute(_SQL["commit"], scope).fetchone()
    return TaskHistory.model_validate(task | found | {"commit": commit}, strict=False)


def _attempt(row: DictRow) -> dict[str, Any]:
    """Without the answer. PostgreSQL's JSON operators do not take every text that JSON can hold: it is read here."""
    outcome = row.pop("outcome") or {}
    kept = {name: outcome.get(name) for name in ("confidence", "code", "message")}
    return {name: value for name, value in row.items() if value is not None} | kept | {"outcome": outcome.get("kind")}


def _with_user(row: DictRow) -> DictRow:
    """With the user of the process, in the place of what is on record of it; None where nothing is, or was erased."""
    if "payload" in row:
        row["by_user"] = json.loads(row.pop("payload") or "{}").get("by_user")
    return row


def _cards(
    connection: psycopg.Connection[DictRow], scope: dict[str, Any], cards: list[DictRow]
) -> list[dict[str, Any]]:
    if not cards:
        return []
    parts: dict[str, dict[UUID, list[DictRow]]] = {}
    for name in ("edits", "approvals"):
        values = scope | {"cards": [card["card_id"] for card in cards]}
        for row in connection.execute(_SQL[name], values):
            parts.setdefault(name, {}).setdefault(row.pop("card_id"), []).append(_with_user(row))
    return [card | {name: of.get(card["card_id"], []) for name, of in parts.items()} for card in cards]


def _not_found(tenant_id: str, task_id: UUID) -> TaskNotFound:
    return TaskNotFound(f"tenant {tenant_id!r} has no task {format_id(IdKind.TASK, task_id)}")
