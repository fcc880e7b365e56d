"""Which workers answer."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from chimera.cli.stack.workers import Worker

WORKERS_ANSWER_WITHIN_SECONDS = 1.0
NEEDED_QUEUES = ("plan", "judge")


class Asked:
    """What the workers answer, who are asked once for all checks."""

    @cached_property
    def workers(self) -> "dict[str, Worker]":
        """Each worker that answers, by name.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        from chimera.cli.stack.workers import ask_workers

        return ask_workers(WORKERS_ANSWER_WITHIN_SECONDS)


def workers(name: str, asked: Asked) -> Iterator[Finding]:
    """Which queues the workers that answer consume."""
    heard = asked.workers
    for node, worker in sorted(heard.items()):
        yield Finding(name, Status.OK, f"{node} consumes {', '.join(sorted(worker.queues))}")
    for queue in NEEDED_QUEUES:
        if not any(queue in worker.queues for worker in heard.values()):
            start = f"`{command('up')}`, or celery -A chimera worker" + (" -Q judge" if queue == "judge" else "")
            yield Finding(name, Status.WARN, f"no worker consumes the queue {queue}", start)
