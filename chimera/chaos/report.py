"""What a run has shown."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from pydantic import computed_field

from chimera.chaos.invariants import Harm, Violation
from chimera.chaos.kinds import BY_NAME
from chimera.models.record import Record

_EXAMPLES = 5


class Broken(Record):
    """An invariant that does not hold."""

    invariant: str
    sentence: str
    harm: Harm
    count: int
    examples: tuple[str, ...]


class Report(Record):
    """The figures of a run over a swarm."""

    seed: int
    seconds: float
    # Injected, by kind.
    faults: dict[str, int]
    # Acknowledged.
    plans: int
    tasks: int
    lost: int
    duplicated: int
    unfinished_plans: int
    # Whatever else does not hold.
    broken: int
    # By kind, of those that were injected alone; `recoveries` is how many that were.
    max_recovery_seconds: dict[str, float]
    median_recovery_seconds: dict[str, float]
    recoveries: dict[str, int]
    limit_seconds: dict[str, float]
    # Where the tasks ended, by state; and how often a skill was run.
    ends: dict[str, int]
    runs: int
    # What clients were told that none should be; messages that were still in Redis; starts of each process.
    unexpected: tuple[str, ...]
    leftovers: dict[str, int]
    starts: dict[str, int]
    violations: tuple[Broken, ...]
    without: str | None
    environment: dict[str, str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def faults_injected(self) -> int:
        """Of all kinds."""
        return sum(self.faults.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def over_limit(self) -> dict[str, float]:
        """The kinds whose worst recovery took longer than is promised."""
        worst = self.max_recovery_seconds
        return {kind: worst[kind] for kind, limit in self.limit_seconds.items() if worst.get(kind, 0.0) > limit}

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, duplicated or left unfinished, and all else is as it must be."""
        return not (self.lost or self.duplicated or self.unfinished_plans or self.broken)


def summed(violations: Sequence[Violation]) -> dict[str, Any]:
    """The counts of a report: things that were harmed, each once."""
    harmed = Counter(harm for harm, _ in {(each.harm, each.id) for each in violations})
    by_name: dict[str, list[Violation]] = {}
    for violation in violations:
        by_name.setdefault(violation.invariant, []).append(violation)
    return {
        "lost": harmed[Harm.LOST],
        "duplicated": harmed[Harm.DUPLICATED],
        "unfinished_plans": len(by_name.get("plan_not_ended", [])),
        "broken": harmed[Harm.BROKEN],
        "violations": tuple(_broken(found) for found in by_name.values()),
    }


def recoveries(measured: Mapping[str, Sequence[float]], kinds: Iterable[str]) -> dict[str, Any]:
    """The times of a report."""
    limits = {kind: BY_NAME[kind].limit_seconds for kind in kinds}
    return {
        "max_recovery_seconds": {kind: max(seconds) for kind, seconds in measured.items()},
        "median_recovery_seconds": {kind: round(median(seconds), 2) for kind, seconds in measured.items()},
        "recoveries": {kind: len(seconds) for kind, seconds in measured.items()},
        "limit_seconds": {kind: limit for kind, limit in limits.items() if limit is not None},
    }


def environment(servers: Mapping[str, str]) -> dict[str, str]:
    """What it was measured on."""
    packages = {name: version(name) for name in ("celery", "kombu", "redis", "psycopg")}
    machine = {"python": platform.python_version(), "platform": platform.platform(), "cores": str(os.cpu_count())}
    return machine | packages | dict(servers)


def _broken(found: Sequence[Violation]) -> Broken:
    first = found[0]
    return Broken(
        invariant=first.invariant,
        sentence=first.sentence,
        harm=first.harm,
        count=len(found),
        examples=tuple(f"{each.tenant_id} {each.id}: {each.what}" for each in found[:_EXAMPLES]),
    )
