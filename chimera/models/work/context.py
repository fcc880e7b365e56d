"""What a skill may know of the task that it runs."""

from typing import Any
from uuid import UUID

from pydantic import Field, TypeAdapter

from chimera.models.record import Record, TenantId
from chimera.models.work.decision import Reason

REASONS = TypeAdapter(tuple[Reason, ...])


class TaskContext(Record):
    """The task that runs, and what there was before it."""

    tenant_id: TenantId
    plan_id: UUID
    task_id: UUID
    # From 1, and how many there may be.
    attempt: int = Field(ge=1)
    max_attempts: int = Field(ge=1)
    # Why the task was sent back the last time; `str()` of a reason is for people and models. Empty where it never was.
    feedback: tuple[Reason, ...] = ()
    # The entry of shared state that the output becomes if it is approved while that is still at this version;
    # None, and no version, where the task has no `state_key`. Version 0 has no value yet.
    state_key: str | None = None
    state_value: Any = None
    state_version: int | None = Field(default=None, ge=0)
