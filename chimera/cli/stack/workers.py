"""Which workers answer, and what they listen to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

from chimera.adapters.celery.answers import HAS, NOW
from chimera.bootstrap import celery_app
from chimera.errors import QueueUnavailable

T = TypeVar("T")


class Ask(Protocol[T]):
    """Asks all workers, again and again over one connection."""

    def __call__(self, timeout_seconds: float, limit: int | None = None) -> dict[str, T]:
        """What each worker answers, by the worker's name.

        It waits this long for answers, or until `limit` workers have answered.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        ...


class WorkerNow(NamedTuple):
    """How things stand with a worker."""

    # Seconds since the epoch by the clock of its machine.
    time: float
    # Those that it has begun since its start.
    sweeps: int


@contextmanager
def asking_pids() -> Iterator[Ask[int]]:
    """A way to ask for the workers' process ids, on their own machines; to close it may take a second."""
    with _connected() as inspect:

        def ask(timeout_seconds: float, limit: int | None = None) -> dict[str, int]:
            answers = inspect("stats", timeout_seconds, limit)
            return {node: answer["pid"] for node, answer in answers.items()}

        yield ask


@contextmanager
def asking_now() -> Iterator[Ask[WorkerNow]]:
    """A way to ask how things stand now; workers that do not know the question are left out."""
    with _connected() as inspect:

        def ask(timeout_seconds: float, limit: int | None = None) -> dict[str, WorkerNow]:
            answers = inspect(NOW, timeout_seconds, limit)
            return {node: WorkerNow(**answer) for node, answer in answers.items() if "time" in answer}

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
        has = inspect(HAS, timeout_seconds, len(queues)) if queues else {}
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
    # A connection of its own, closed again: the caller may be a process that only supervises.
    with app.connection_for_write() as connection:

        def inspect(command: str, timeout_seconds: float, limit: int | None) -> dict[str, Any]:
            try:
                connection.ensure_connection(max_retries=1, timeout=5)
                replies: list[dict[str, Any]] | None = app.control.broadcast(
                    command, reply=True, timeout=timeout_seconds, limit=limit, connection=connection
                )
            except Exception as exc:  # whatever kombu and redis call it
                raise QueueUnavailable(
                    f"the broker at {connection.as_uri()} does not answer ({type(exc).__name__}: {exc})"
                ) from exc
            return {node: answer for reply in replies or () for node, answer in reply.items()}

        yield inspect
