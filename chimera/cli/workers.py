"""Which workers answer, and what they listen to."""

from chimera.bootstrap import celery_app


def consumed_queues(timeout_seconds: float) -> dict[str, set[str]]:
    """The queues that each worker consumes, by the worker's name; it waits this long for their answers."""
    app = celery_app()
    # A connection of its own, closed again: who asks may be a process that only supervises.
    with app.connection_for_write() as connection:
        answers = app.control.inspect(timeout=timeout_seconds, connection=connection).active_queues()
    return {node: {queue["name"] for queue in queues} for node, queues in (answers or {}).items()}
