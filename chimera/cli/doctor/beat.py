"""Whether beat runs: its sweep comes every second, and a worker of the queue judge runs it."""

from collections.abc import Iterator, Mapping
from time import monotonic

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

WORKERS_ANSWER_WITHIN_SECONDS = 1.0
# A sweep that was not begun after 5 s is dropped.
SWEPT_WITHIN_SECONDS = 6.0


def beat(name: str) -> Iterator[Finding]:
    """Whether a worker begins a sweep while this looks."""
    from chimera.cli.stack.workers import WorkerNow, asking_now

    def sweeps(heard: "Mapping[str, WorkerNow]") -> int:
        return sum(now.sweeps for node, now in heard.items() if node in first)

    began = monotonic()
    with asking_now() as ask:
        first = ask(WORKERS_ANSWER_WITHIN_SECONDS)
        before = sweeps(first)
        while first and monotonic() - began < SWEPT_WITHIN_SECONDS:
            if sweeps(ask(WORKERS_ANSWER_WITHIN_SECONDS, len(first))) > before:
                yield Finding(name, Status.OK, f"a sweep came within {monotonic() - began:.1f} s")
                return
    if not first:
        yield Finding(name, Status.WARN, "no worker answers that would say when the last sweep came", "see workers")
        return
    fix = f"run one `celery -A chimera beat` (`{command('up')}` does), and a worker of the queue judge"
    yield Finding(name, Status.FAIL, f"no sweep came within {SWEPT_WITHIN_SECONDS:g} s: what is lost stays lost", fix)
