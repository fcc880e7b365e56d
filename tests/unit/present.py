"""Workers that are there."""

from chimera.models.work.presence import WorkerNote


def note(*queues: str, skills: frozenset[str], planners: frozenset[str] = frozenset()) -> WorkerNote:
    return WorkerNote(
        pid=1,
        queues=frozenset(queues),
        skills=skills,
        planners=planners,
        isolation="trusted",
        sweeps=0,
        at=1_000_000_000.0,
        ahead_seconds=(0.0, 0.0),
    )
