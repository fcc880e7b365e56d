"""A task: one call of one skill, and the states it goes through."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from chimera.models.record import Record, TenantId, Text

# The longest that one call of a skill may take, in seconds: 59 minutes. The broker gives a message to another worker
# after an hour (adapters/celery/app.py), and what runs must have ended by then.
MAX_TIMEOUT_SECONDS = 3540.0
TOO_LONG = f"at most {MAX_TIMEOUT_SECONDS:g} (59 minutes): the broker gives a message to another worker after an hour"


class TaskState(StrEnum):
    """Where a task is on its way to its one final decision."""

    QUEUED = "queued"  # waits for an agent
    RUNNING = "running"  # an agent holds its lease
    STAGED = "staged"  # its result waits for the Judge
    IN_REVIEW = "in_review"  # its result waits for a person
    APPROVED = "approved"  # its result is committed
    DENIED = "denied"  # its result was refused for good
    EXHAUSTED = "exhausted"  # its attempts brought no usable result
    CANCELLED = "cancelled"  # its plan was cancelled first
    EXPIRED = "expired"  # its plan's deadline came first


TERMINAL = frozenset(
    {TaskState.APPROVED, TaskState.DENIED, TaskState.EXHAUSTED, TaskState.CANCELLED, TaskState.EXPIRED}
)

_STOPPED = frozenset({TaskState.CANCELLED, TaskState.EXPIRED})

# The allowed transitions. The trigger task_transition of the schema refuses all others.
TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = {
    # To denied only where its planner gave it up, or a budget has nothing left for it.
    TaskState.QUEUED: frozenset({TaskState.RUNNING, TaskState.DENIED}) | _STOPPED,
    TaskState.RUNNING: frozenset({TaskState.STAGED, TaskState.QUEUED, TaskState.EXHAUSTED}) | _STOPPED,
    TaskState.STAGED: frozenset(
        {
            TaskState.APPROVED,
            TaskState.DENIED,
            TaskState.IN_REVIEW,
            TaskState.QUEUED,
            TaskState.EXHAUSTED,
        }
    )
    | _STOPPED,
    TaskState.IN_REVIEW: frozenset({TaskState.APPROVED, TaskState.DENIED}) | _STOPPED,
    **dict.fromkeys(TERMINAL, frozenset()),
}


class TaskSpec(Record):
    """What a planner yields: a task as the planner sees it, before it has an id and a place in a plan."""

    skill: str
    input: dict[str, Any]
    # What a right output holds, for `plan results --score`. The skill and the gate never see it.
    label: dict[str, Any] | None = None
    # Tasks yielded earlier that must be approved before this one runs.
    depends_on: "tuple[TaskSpec, ...]" = ()
    # The entry of shared state that this task's committed output becomes.
    state_key: Text | None = Field(default=None, min_length=1, max_length=512)
    # None: the skill's own.
    timeout_seconds: float | None = Field(default=None, gt=0)
    max_attempts: int | None = Field(default=None, ge=1, le=100)

    @field_validator("timeout_seconds")
    @classmethod
    def _not_too_long(cls, value: float | None) -> float | None:
        if value is not None and value > MAX_TIMEOUT_SECONDS:
            raise PydanticCustomError("timeout_too_long", "{limit}", {"limit": TOO_LONG})
        return value

    def options(
        self,
        *,
        label: dict[str, Any] | None = None,
        depends_on: "tuple[TaskSpec, ...]" = (),
        state_key: str | None = None,
        timeout_seconds: float | None = None,
        max_attempts: int | None = None,
    ) -> "TaskSpec":
        """The same task with these options.

        Raises:
            pydantic.ValidationError: an option's value is not allowed.
        """
        return TaskSpec(
            skill=self.skill,
            input=self.input,
            label=label,
            depends_on=depends_on,
            state_key=state_key,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
        )


class Task(Record):
    """A task of a plan, as it is stored."""

    tenant_id: TenantId
    plan_id: UUID
    task_id: UUID
    parent_task_id: UUID | None = None
    # Place in the plan, from 0, in the order the planner yielded.
    ordinal: int = Field(ge=0)
    wave_no: int = Field(ge=0)
    skill: str
    # JSON text, as the skill's input schema has it.
    input: str
    label: str | None = None
    priority: int = Field(ge=0, le=100)
    timeout_seconds: float = Field(gt=0)
    max_attempts: int = Field(ge=1, le=100)
    depends_on: tuple[UUID, ...] = ()
    state_key: str | None = None


class ClaimedTask(Record):
    """A task that this agent holds the lease of, with what running it needs."""

    task_id: UUID
    skill: str
    input: str  # JSON text
    attempt: int = Field(ge=1)
    max_attempts: int = Field(ge=1)
    timeout_seconds: float = Field(gt=0)
    # JSON text of the reasons why it was sent back the last time; None where it never was.
    feedback: str | None = None
    # The entry of shared state that it is to change, as it is now: JSON text of its value, None where there is no
    # such entry yet; and its version, then 0.
    state_key: str | None = None
    state_value: str | None = None
    state_version: int | None = None
    # Tasks it depends on that were not approved: it must not run.
    unmet_dependencies: tuple[UUID, ...] = ()
    # The plan's.
    trace_id: str
