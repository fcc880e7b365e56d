"""Which workers answer."""

from collections.abc import Iterator

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

WORKERS_ANSWER_WITHIN_SECONDS = 1.0
NEEDED_QUEUES = ("plan", "judge")


def workers(name: str) -> Iterator[Finding]:
    """Which queues the workers that answer consume."""
    from chimera.cli.stack.workers import asking

    with asking() as ask:
        heard = ask(WORKERS_ANSWER_WITHIN_SECONDS)
    for node, queues in sorted(heard.items()):
        yield Finding(name, Status.OK, f"{node} consumes {', '.join(sorted(queues))}")
    for queue in NEEDED_QUEUES:
        if not any(queue in queues for queues in heard.values()):
            start = f"`{command('up')}`, or celery -A chimera worker" + (" -Q judge" if queue == "judge" else "")
            yield Finding(name, Status.WARN, f"no worker consumes the queue {queue}", start)
