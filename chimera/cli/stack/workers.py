"""Which workers answer, and what they listen to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

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


class AskPids(Protocol):
    """Asks all workers who they are."""

    def __call__(self, timeout_seconds: float, limit: int | None = None) -> dict[str, int]:
        """The process id of each worker that answers, on its own machine, by the worker's name; else as `Ask`."""
        ...


@contextmanager
def asking() -> Iterator[Ask]:
    """A way to ask the workers, again and again over one connection; to close it may take a second."""
    with _connected() as inspect:

        def ask(timeout_seconds: float, limit: int | None = None) -> dict[str, set[str]]:
            answers = inspect("active_queues", timeout_seconds, limit)
            return {node: {queue["name"] for queue in queues} for node, queues in answers.items()}

        yield ask


@contextmanager
def asking_pids() -> Iterator[AskPids]:
    """As `asking`."""
    with _connected() as inspect:

        def ask(timeout_seconds: float, limit: int | None = None) -> dict[str, int]:
            answers = inspect("stats", timeout_seconds, limit)
            return {node: answer["pid"] for node, answer in answers.items()}

        yield ask


@contextmanager
def _connected() -> Iterator[Callable[[str, float, int | None], dict[str, Any]]]:
    app = celery_app()
    # A connection of its own, closed again: who asks may be a process that only supervises.
    with app.connection_for_write() as connection:

        def inspect(command: str, timeout_seconds: float, limit: int | None) -> dict[str, Any]:
            try:
                connection.ensure_connection(max_retries=1, timeout=5)
                asked = app.control.inspect(timeout=timeout_seconds, limit=limit, connection=connection)
                answers: dict[str, Any] | None = getattr(asked, command)()
            except Exception as exc:  # whatever kombu and redis call it
                raise QueueUnavailable(
                    f"the broker at {connection.as_uri()} does not answer ({type(exc).__name__}: {exc})"
                ) from exc
            return answers or {}

        yield inspect
