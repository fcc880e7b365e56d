"""Which workers answer, and what they listen to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from chimera.adapters.celery.having import COMMAND
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


class Worker(NamedTuple):
    """What a worker says of itself; of a worker that does not know the question, no skills and planners (None)."""

    queues: frozenset[str]
    skills: frozenset[str] | None
    planners: frozenset[str] | None


def ask_workers(timeout_seconds: float) -> dict[str, Worker]:
    """Each worker that answers within this time, by name.

    Raises:
        QueueUnavailable: the broker does not answer.
    """
    with _connected() as inspect:
        queues = inspect("active_queues", timeout_seconds, None)
        has = inspect(COMMAND, timeout_seconds, len(queues)) if queues else {}
    return {
        node: Worker(
            queues=frozenset(queue["name"] for queue in consumed),
            skills=_names(has.get(node), "skills"),
            planners=_names(has.get(node), "planners"),
        )
        for node, consumed in queues.items()
    }


def _names(answer: dict[str, list[str]] | None, what: str) -> frozenset[str] | None:
    return None if answer is None or what not in answer else frozenset(answer[what])


@contextmanager
def _connected() -> Iterator[Callable[[str, float, int | None], dict[str, Any]]]:
    app = celery_app()
    # A connection of its own, closed again: who asks may be a process that only supervises.
    with app.connection_for_write() as connection:

        def inspect(command: str, timeout_seconds: float, limit: int | None) -> dict[str, Any]:
            try:
                connection.ensure_connection(max_retries=1, timeout=5)
                asked: Any = app.control.inspect(timeout=timeout_seconds, limit=limit, connection=connection)
                # Celery's own have methods, which call this; ours has none.
                answers: dict[str, Any] | None = asked._request(command)
            except Exception as exc:  # whatever kombu and redis call it
                raise QueueUnavailable(
                    f"the broker at {connection.as_uri()} does not answer ({type(exc).__name__}: {exc})"
                ) from exc
            return answers or {}

        yield inspect
