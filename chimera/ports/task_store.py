"""Tasks as people look at them: the store in the role `app`."""

from typing import Protocol
from uuid import UUID

from chimera.models.work.history import TaskHistory, TaskStanding
from chimera.models.work.task import TaskState


class TaskStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def history(self, tenant_id: str, task_id: UUID) -> TaskHistory:
        """A task with all that was done with it, as of one moment.

        Raises:
            TaskNotFound: the tenant has no such task; that somebody asked goes on record.
        """
        ...

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
        """Tasks of the latest plans first, in each in the order of its waves; with `after`, those behind that task.

        Raises:
            TaskNotFound: the tenant has no task `after`.
        """
        ...
