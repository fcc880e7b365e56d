"""Planning a task again, after the gate sent its result back."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from chimera.models.record import Record, TenantId
from chimera.models.work.decision import Reason, Ruling, Verdict
from chimera.models.work.task import TaskSpec, TaskState

# A hook that raises, overruns or loses its process is started at most three times; its last answer is final.
MAX_REPLAN_TRIES = 3


class ReplanState(StrEnum):
    """What a queued task waits for where its planner has the word; without one it waits for an agent."""

    ASKED = "asked"  # for what its planner says
    GIVEN_UP = "given_up"  # for the Judge to end it: its planner gave it up
    FAILED = "failed"  # for the same: its planner could not say anything


class DeniedTask(Record):
    """A task whose result the gate sent back, as a replan hook sees it."""

    tenant_id: TenantId
    plan_id: UUID
    task_id: UUID
    # The plan's.
    goal: str
    inputs: dict[str, Any]
    skill: str
    input: dict[str, Any]
    # The attempt whose result was denied, from 1, and how many there may be.
    attempt: int = Field(ge=1)
    max_attempts: int = Field(ge=1)
    # How often the gate sent the task back, this time included.
    depth: int = Field(ge=1)
    # What the skill answered; never committed.
    output: Any
    # Why that was sent back.
    feedback: tuple[Reason, ...]

    def task(self, **changes: Any) -> TaskSpec:
        """The same task, with these arguments changed or added."""
        return TaskSpec(skill=self.skill, input=self.input | changes)


# Returns the task to do instead; None gives the task up.
ReplanHook = Callable[[DeniedTask], TaskSpec | None]


def planner_gave_up(reasons: tuple[Reason, ...], failure: str | None) -> Ruling:
    """The ruling on a task that its planner gave up, or of which it could not say anything.

    Args:
        reasons: why its result had been sent back.
        failure: what went wrong in the planner; None where it gave up.
    """
    rule = "replan.given_up" if failure is None else "replan.failed"
    end = Reason(rule=rule, value=failure)
    return Ruling(verdict=Verdict.DENY, reasons=(*reasons, end), next_state=TaskState.DENIED)
