"""Which workers answer, and what they listen to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from chimera.bootstrap import celery_app
from chimera.errors import QueueUnavailable


class Ask(Protocol):
    """Asks all workers."""

    def __call__(self, timeout_seconds: float, limit: int | None = None) -> dict[str, set[str]]:
        """The queues that each worker consumes, by the worker's name.

        It waits this long for answers, or until `limit` workers have answered.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        ...


@contextmanager
def asking() -> Iterator[Ask]:
    """A way to ask the workers, again and again over one connection; to close it may take a second."""
    app = celery_app()
    # A connection of its own, closed again: who asks may be a process that only supervises.
    with app.connection_for_write() as connection:

        def ask(timeout_seconds: float, limit: int | None = None) -> dict[str, set[str]]:
            try:
                connection.ensure_connection(max_retries=1, timeout=5)
                inspect = app.control.inspect(timeout=timeout_seconds, limit=limit, connection=connection)
                answers = inspect.active_queues()
            except Exception as exc:  # whatever kombu and redis call it
                raise QueueUnavailable(
                    f"the broker at {connection.as_uri()} does not answer ({type(exc).__name__}: {exc})"
                ) from exc
            return {node: {queue["name"] for queue in queues} for node, queues in (answers or {}).items()}

        yield ask
