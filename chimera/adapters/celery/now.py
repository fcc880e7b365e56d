"""What a worker answers when it is asked how things stand with it now: its clock, and the sweeps that it has run."""

import time
from typing import Any

from celery.worker import state
from celery.worker.control import inspect_command

from chimera.adapters.celery import messages

COMMAND = "chimera_now"


def answer_now() -> None:
    """Lets the workers of this process answer COMMAND, sent as other commands of `celery inspect` are."""

    @inspect_command(name=COMMAND)
    def now(_state: Any) -> dict[str, float]:
        """The seconds since the epoch by this machine's clock, and the sweeps begun since the worker's start."""
        return {"time": time.time(), "sweeps": state.total_count[messages.SWEEP.task]}
