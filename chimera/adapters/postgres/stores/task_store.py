"""Tasks as people look at them, in PostgreSQL."""

from typing import Any
from uuid import UUID

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.errors import TaskNotFound
from chimera.models.ids import IdKind, format_id
from chimera.models.work.history import TaskStanding
from chimera.models.work.task import TaskState
from chimera.ports import task_store as port

_SQL = statements("task_store")


class TaskStore(port.TaskStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_tasks(  # noqa: D102  see the port
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
        values |= {"after_plan": None, "after_wave": None, "after_ordinal": None}
        if after is not None:
            values |= self._place(tenant_id, after)
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["tasks"], values)
            return [TaskStanding.model_validate(row, strict=False) for row in rows]

    def _place(self, tenant_id: str, task_id: UUID) -> dict[str, Any]:
        with (
            refusals_noted(self._database, tenant_id, format_id(IdKind.TASK, task_id)),
            self._database.transaction(tenant_id) as connection,
        ):
            row = connection.execute(_SQL["place"], {"tenant": tenant_id, "task": task_id}).fetchone()
            if row is None:
                raise TaskNotFound(f"tenant {tenant_id!r} has no task {format_id(IdKind.TASK, task_id)}")
        return {f"after_{name}": row[key] for name, key in _PLACE.items()}


_PLACE = {"plan": "plan_id", "wave": "wave_no", "ordinal": "ordinal"}
