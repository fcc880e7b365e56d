"""What the Celery tasks share."""

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from celery import Task
from structlog.contextvars import bound_contextvars

from chimera.adapters.celery.messages import HIDDEN
from chimera.bootstrap import celery_app
from chimera.errors import QueueUnavailable, StoreUnavailable
from chimera.models.ids import IdKind, format_id

app = celery_app()


def about(tenant_id: str, plan_id: UUID, **more: int) -> AbstractContextManager[None]:
    """Has every log line name the plan that a Celery task is about, by the id that the command line takes."""
    return bound_contextvars(tenant_id=tenant_id, plan_id=format_id(IdKind.PLAN, plan_id), **more)


class ChimeraTask(Task):  # type: ignore[type-arg]  # celery's Task is not generic at run time
    """Tried again for as long as PostgreSQL or the broker is away; shows no arguments and no results."""

    abstract = True
    autoretry_for = (StoreUnavailable, QueueUnavailable)
    max_retries = None
    retry_backoff = 1
    retry_backoff_max = 4
    resultrepr_maxsize = 0
    Strategy = "chimera.adapters.celery.strategy:strategy"

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """As Celery's, with the arguments hidden from events, Flower and logs."""
        return super().apply_async(*args, **{**HIDDEN, **options})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs with the Celery task's id bound to every log line, and nothing left bound after it."""
        with bound_contextvars(celery_task=self.name, celery_task_id=self.request.id):
            return super().__call__(*args, **kwargs)
