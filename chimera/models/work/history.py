"""What became of a task: how it stands now, and all that was done with it, in order of time."""

from uuid import UUID

from pydantic import Field

from chimera.models.record import Instant, Record, TenantId
from chimera.models.work.task import TaskState


class TaskStanding(Record):
    """A task as it stands now, without its contents. Times are the database's."""

    tenant_id: TenantId
    plan_id: UUID
    task_id: UUID
    # The task that it tries again; None where it is none's copy.
    parent_task_id: UUID | None = None
    wave_no: int = Field(ge=0)
    ordinal: int = Field(ge=0)  # place in the plan, from 0
    skill: str
    state: TaskState
    attempt: int = Field(ge=0)  # the latest; 0 before the first
    max_attempts: int = Field(ge=1)
    # When its planner's transaction made it, an agent first took it, and it ended; None where that is not so yet, or
    # was before these times were kept.
    created_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
