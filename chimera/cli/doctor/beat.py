"""Whether beat runs: its sweep comes every second, and a worker of the queue judge runs it."""

from collections.abc import Iterator
from time import monotonic, sleep

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

LOOK_SECONDS = 0.5
# One is sent every second, and dropped if it was not begun after 5 s.
SWEPT_WITHIN_SECONDS = 10.0


def beat(name: str) -> Iterator[Finding]:
    """Whether a worker begins a sweep while this looks."""
    from chimera.cli.stack.workers import looking_at_workers

    began = monotonic()
    # The sweeps of each worker when it was first heard; a busy one may be heard later than others.
    before: dict[str, int] = {}
    with looking_at_workers() as look:
        while monotonic() - began < SWEPT_WITHIN_SECONDS:
            heard = look()
            if any(now.sweeps > before.setdefault(node, now.sweeps) for node, now in heard.items()):
                yield Finding(name, Status.OK, f"a sweep came within {monotonic() - began:.1f} s")
                return
            if not before:
                yield Finding(name, Status.WARN, "no worker is there that could have run a sweep", "see workers")
                return
            sleep(LOOK_SECONDS)
    fix = f"run one `celery -A chimera beat` (`{command('up')}` does), and a worker of the queue judge"
    yield Finding(name, Status.FAIL, f"no sweep came within {SWEPT_WITHIN_SECONDS:g} s: what is lost stays lost", fix)
