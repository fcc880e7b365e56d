"""What the Celery tasks share."""

from typing import Any

import structlog
from celery import Task

from chimera.adapters.celery.messages import REDACTED
from chimera.bootstrap import celery_app
from chimera.errors import QueueUnavailable, StoreUnavailable

app = celery_app()


class ChimeraTask(Task):  # type: ignore[type-arg]  # celery's Task is not generic at run time
    """Tried again for as long as PostgreSQL or the broker is away; shows no arguments and no results."""

    abstract = True
    autoretry_for = (StoreUnavailable, QueueUnavailable)
    max_retries = None
    retry_backoff = 1
    retry_backoff_max = 4
    resultrepr_maxsize = 0

    def apply_async(self, *args: Any, **options: Any) -> Any:
        """As Celery's, with the arguments hidden from events, Flower and logs."""
        return super().apply_async(*args, **({"argsrepr": REDACTED, "kwargsrepr": REDACTED} | options))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs with the Celery task's id bound to every log line, and nothing left bound after it."""
        with structlog.contextvars.bound_contextvars(celery_task=self.name, celery_task_id=self.request.id):
            return super().__call__(*args, **kwargs)
