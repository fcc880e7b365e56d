"""The names of the queues."""

PLAN_QUEUE = "plan"
JUDGE_QUEUE = "judge"
TENANT_QUEUE_PREFIX = "tenant."


def tenant_queue(tenant_id: str) -> str:
    """The queue of a tenant's batches."""
    return TENANT_QUEUE_PREFIX + tenant_id
