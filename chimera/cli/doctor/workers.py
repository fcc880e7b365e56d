"""Which workers answer."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from chimera.cli.stack.workers import Worker

WORKERS_ANSWER_WITHIN_SECONDS = 1.0
JUDGE = "judge"
NEEDED_QUEUES = ("plan", JUDGE)


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
        consumes = f"{node} consumes {', '.join(sorted(worker.queues))}"
        if JUDGE in worker.queues and worker.queues != {JUDGE}:
            said = f"{consumes}: skills run in the process that decides about their results, with all that it may do"
            yield Finding(name, Status.WARN, said, "start it with -X judge, and another one with -Q judge")
        else:
            yield Finding(name, Status.OK, consumes)
    for queue in NEEDED_QUEUES:
        if not any(queue in worker.queues for worker in heard.values()):
            start = f"`{command('up')}`, or celery -A chimera worker" + (" -Q judge" if queue == JUDGE else " -X judge")
            yield Finding(name, Status.WARN, f"no worker consumes the queue {queue}", start)
