"""Whether all workers have the same skills and planners."""

from collections.abc import Iterator, Mapping

from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.doctor.workers import JUDGE, Asked


def skills(name: str, asked: Asked) -> Iterator[Finding]:
    """Which worker lacks a skill or planner that another one has."""
    # A Judge needs none: it imports nothing of the project's.
    told = {node: worker for node, worker in asked.workers.items() if worker.queues != {JUDGE}}
    if not told:
        yield Finding(name, Status.WARN, "no worker says what it has", "see the findings on workers")
        return
    well = True
    for kind, has in (
        ("skill", {node: worker.skills for node, worker in told.items()}),
        # Others than those that plan never need a planner.
        ("planner", {n: worker.planners for n, worker in told.items() if "plan" in worker.queues}),
    ):
        for finding in _lacking(name, kind, has):
            well = False
            yield finding
    if well:
        names = sorted(frozenset[str]().union(*(worker.skills for worker in told.values())))
        yield Finding(name, Status.OK, f"all workers that answer have the same: {', '.join(names) or 'none'}")


def _lacking(check: str, kind: str, has: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    known = frozenset[str]().union(*has.values())
    for node, own in sorted(has.items()):
        if lacks := sorted(known - own):
            others = sorted(other for other, theirs in has.items() if theirs & set(lacks))
            what = f"{node} lacks the {kind}{'s' if len(lacks) > 1 else ''} {', '.join(lacks)}"
            what += f", which {', '.join(others)} {'have' if len(others) > 1 else 'has'}"
            fix = "start all workers with the same code: what a worker lacks it leaves to others, which takes longer"
            yield Finding(check, Status.WARN, what, fix)
