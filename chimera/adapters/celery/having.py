"""What a worker answers when it is asked which skills and planners it has: whatever its queues, a Judge's too."""

from collections.abc import Callable
from typing import Any

from celery.worker.control import inspect_command

COMMAND = "chimera_has"


def answer_what_it_has(skills: Callable[[], tuple[str, ...]], planners: Callable[[], tuple[str, ...]]) -> None:
    """Lets the workers of this process answer COMMAND, sent as other commands of `celery inspect` are."""

    @inspect_command(name=COMMAND)
    def has(_state: Any) -> dict[str, list[str]]:
        """The names of the skills and planners that this worker has."""
        return {"skills": list(skills()), "planners": list(planners())}
