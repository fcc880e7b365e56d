"""Which workers are there."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from chimera.models.work.presence import WorkerNote

JUDGE = "judge"
NEEDED_QUEUES = ("plan", JUDGE)


class Asked:
    """What the workers say of themselves, read once for all checks."""

    @cached_property
    def workers(self) -> "dict[str, WorkerNote]":
        """Each worker that is there, by name.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        from chimera.cli.stack.workers import present_workers

        return present_workers()


def workers(name: str, asked: Asked) -> Iterator[Finding]:
    """Which queues the workers that are there consume."""
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
