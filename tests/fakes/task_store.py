"""Tasks as people look at them, in memory."""

from uuid import UUID

from chimera.errors import TaskNotFound
from chimera.models.audit.access import refused_event
from chimera.models.ids import IdKind, format_id
from chimera.models.work.history import TaskStanding
from chimera.models.work.task import TaskState
from chimera.ports import task_store as port
from tests.fakes.database import FakeDatabase, TaskRow


class FakeTaskStore(port.TaskStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

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
