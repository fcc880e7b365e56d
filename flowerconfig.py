"""Flower's settings: it shows nothing without the password, changes nothing, and what it shows are ids and times."""

import os
from typing import Any

address = os.environ.get("CHIMERA_FLOWER_ADDRESS", "127.0.0.1")
port = int(os.environ.get("CHIMERA_FLOWER_PORT", "5555"))
# user:password, without a default: Chimera refuses to start Flower open.
basic_auth = [os.environ.get("CHIMERA_FLOWER_BASIC_AUTH", "")]
# Plans are cancelled and workers stopped where it is decided who may: not here.
read_only = True
# Workers take no commands (docs/architecture.md): they send events where they are started with -E.
enable_events = False


def format_task(task: Any) -> Any:
    """Hides what other Celery tasks of the same workers say; Chimera's own say nothing in the first place."""
    task.args = task.kwargs = "<hidden>"
    task.result = task.exception = task.traceback = None
    return task
