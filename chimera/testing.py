"""What unit tests of skills need."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID, uuid4

from chimera.models.work.context import TaskContext
from chimera.models.work.decision import Reason
from chimera.services.task_context import running


def running_task(
    *,
    tenant_id: str = "tests",
    plan_id: UUID | None = None,
    task_id: UUID | None = None,
    attempt: int = 1,
    max_attempts: int = 3,
    feedback: Sequence[Reason | str] = (),
    state_key: str | None = None,
    state_value: Any = None,
    state_version: int | None = None,
) -> AbstractContextManager[TaskContext]:
    """While inside, `current_task()` answers this: `with running_task(attempt=2, feedback=["confidence.below"]): ...`.

    Args:
        tenant_id: whose task it is.
        plan_id: its plan; a new id where none is given.
        task_id: its id; likewise.
        attempt: which attempt it is, from 1.
        max_attempts: how many there may be.
        feedback: why it was sent back: reasons, or the names of their rules.
        state_key: the entry of shared state that it is to change.
        state_value: the entry's value.
        state_version: the entry's version; where none is given 1, or 0 where there is no value either.

    Raises:
        pydantic.ValidationError: no task can be like that.
    """
    known = int(state_value is not None) if state_version is None else state_version
    context = TaskContext(
        tenant_id=tenant_id,
        plan_id=plan_id or uuid4(),
        task_id=task_id or uuid4(),
        attempt=attempt,
        max_attempts=max_attempts,
        feedback=tuple(Reason(rule=given) if isinstance(given, str) else given for given in feedback),
        state_key=state_key,
        state_value=state_value,
        state_version=None if state_key is None else known,
    )
    return running(context)
