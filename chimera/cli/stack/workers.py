"""Which workers are there, what they listen to and have, and how things stand with them: as they say every second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from chimera.adapters.celery import presence
from chimera.bootstrap import celery_app
from chimera.errors import QueueUnavailable
from chimera.models.work.presence import WorkerNote

Look = Callable[[], dict[str, WorkerNote]]


@contextmanager
def looking_at_workers() -> Iterator[Look]:
    """A way to look at the workers that are there, by name, again and again over one connection.

    To look raises QueueUnavailable where the broker does not answer.
    """
    with _broker() as ask:
        yield lambda: ask(presence.workers)


def present_workers() -> dict[str, WorkerNote]:
    """The workers that are there, by name.

    Raises:
        QueueUnavailable: the broker does not answer.
    """
    with looking_at_workers() as look:
        return look()


def workers_and_clock() -> tuple[dict[str, WorkerNote], tuple[float, float]]:
    """The same, and the least and the most that this machine's clock is ahead of the broker's, in seconds.

    Raises:
        QueueUnavailable: the broker does not answer.
    """
    with _broker() as ask:
        return ask(presence.workers), ask(presence.ahead_of_broker)


@contextmanager
def _broker() -> Iterator[Callable[[Callable[[Any], Any]], Any]]:
    # A connection of its own, closed again: the caller may be a process that only supervises.
    with celery_app().connection_for_write() as connection:

        def ask(question: Callable[[Any], Any]) -> Any:
            try:
                connection.ensure_connection(max_retries=1, timeout=5)
                client: Any = connection.default_channel.client  # type: ignore[attr-defined]
                return question(client)
            except Exception as exc:  # whatever kombu and redis call it
                raise QueueUnavailable(
                    f"the broker at {connection.as_uri()} does not answer ({type(exc).__name__}: {exc})"
                ) from exc

        yield ask
