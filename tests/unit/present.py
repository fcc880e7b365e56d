"""Workers that are there."""

from chimera.models.work.presence import WorkerNote


def note(
    *queues: str, skills: frozenset[str], planners: frozenset[str] = frozenset(), isolation: str = "trusted"
) -> WorkerNote:
    return WorkerNote(
        pid=1,
        queues=frozenset(queues),
        skills=skills,
        planners=planners,
        isolation=isolation,
        sweeps=0,
        at=1_000_000_000.0,
        ahead_seconds=(0.0, 0.0),
    )
