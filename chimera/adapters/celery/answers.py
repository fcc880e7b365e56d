"""What a worker answers when it is asked: which skills and planners it has, and how things stand with it now."""

import time
from collections.abc import Callable
from typing import Any

from celery.worker import state
from celery.worker.control import inspect_command

from chimera.adapters.celery.messages import SWEEP

HAS = "chimera_has"
NOW = "chimera_now"


def register_answers(
    skills: Callable[[], tuple[str, ...]], planners: Callable[[], tuple[str, ...]], isolation: str
) -> None:
    """Lets the workers of this process answer HAS and NOW, whatever their queues; asked as by `celery inspect`."""

    @inspect_command(name=HAS)
    def has(_state: Any) -> dict[str, list[str]]:
        """The names of the skills and planners that this worker has, and its level of isolation."""
        return {"skills": list(skills()), "planners": list(planners()), "isolation": [isolation]}

    @inspect_command(name=NOW)
    def now(_state: Any) -> dict[str, float]:
        """The seconds since the epoch by this machine's clock, and the sweeps begun since the worker's start."""
        return {"time": time.time(), "sweeps": state.total_count[SWEEP.task]}
