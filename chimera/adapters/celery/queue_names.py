"""The names of the queues, and which of them a process was told to consume."""

from celery import Celery

PLAN_QUEUE = "plan"
JUDGE_QUEUE = "judge"
TENANT_QUEUE_PREFIX = "tenant."


def tenant_queue(tenant_id: str) -> str:
    """The queue of a tenant's batches."""
    return TENANT_QUEUE_PREFIX + tenant_id


def named_queues(app: Celery) -> set[str] | None:
    """What a worker's -Q names; None without it, whatever -X leaves out."""
    selected = app.amqp.queues._consume_from  # type: ignore[attr-defined]  # of celery.app.amqp.Queues.select
    return None if selected is None else set(selected)
