"""Which workers answer, and what they listen to."""

from chimera.bootstrap import celery_app
from chimera.errors import QueueUnavailable


def consumed_queues(timeout_seconds: float) -> dict[str, set[str]]:
    """The queues that each worker consumes, by the worker's name; it waits this long for their answers.

    Raises:
        QueueUnavailable: the broker does not answer.
    """
    app = celery_app()
    # A connection of its own, closed again: who asks may be a process that only supervises.
    with app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=5)
            answers = app.control.inspect(timeout=timeout_seconds, connection=connection).active_queues()
        except Exception as exc:  # whatever kombu and redis call it
            raise QueueUnavailable(
                f"the broker at {connection.as_uri()} does not answer ({type(exc).__name__}: {exc})"
            ) from exc
    return {node: {queue["name"] for queue in queues} for node, queues in (answers or {}).items()}
