"""A stack that runs on a data folder, seen from another process: whether it does, where it is, its end."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chimera.adapters.embedded.env_file import read_env_file
from chimera.adapters.embedded.lock import holder
from chimera.errors import EmbeddedServerError
from chimera.settings import data_dir as default_data_dir

# The files of a stack in its data folder.
LOCK_FILE = "lock"
ENV_FILE = "env"


@dataclass(frozen=True, kw_only=True)
class RunningStack:
    """A stack whose process is alive."""

    data_dir: Path
    # The process that started it; SIGTERM ends it in order.
    pid: int
    # What its env file says; empty while it is still starting or already stopping.
    variables: Mapping[str, str] = field(repr=False)


def running_stack(data_dir: Path | None = None) -> RunningStack | None:
    """The stack that runs on this data folder, by default this user's; None if none does.

    Raises:
        EmbeddedServerError: the folder is not this user's to look into.
    """
    folder = data_dir or default_data_dir()
    try:
        pid = holder(folder / LOCK_FILE)
        variables = read_env_file(folder / ENV_FILE)
    except PermissionError as exc:
        raise EmbeddedServerError(
            f"{exc.filename} is another user's. Fix: ask as that user, or set CHIMERA_DATA to a folder of yours."
        ) from exc
    # An env file without a lock is what a killed stack left behind.
    return None if pid is None else RunningStack(data_dir=folder, pid=pid, variables=variables)


def stop_stack(data_dir: Path | None = None, *, timeout_seconds: float = 90.0) -> bool:
    """Ask the stack on this data folder to end, and wait until it has; False if none runs.

    Raises:
        EmbeddedServerError: it may not be asked, or has not ended within `timeout_seconds`.
    """
    stack = running_stack(data_dir)
    if stack is None:
        return False
    _terminate(stack)
    deadline = time.monotonic() + timeout_seconds
    while holder(stack.data_dir / LOCK_FILE) == stack.pid:
        if time.monotonic() >= deadline:
            raise EmbeddedServerError(
                f"The stack on {stack.data_dir} (process {stack.pid}) has not ended within "
                f"{timeout_seconds:g} s; it may be waiting for a task that runs. Fix: wait, then ask again; "
                "`kill -9` of that process ends it at once, and the tasks it ran are run again by the next "
                "start."
            )
        time.sleep(0.05)
    return True


def _terminate(stack: RunningStack) -> None:
    try:
        os.kill(stack.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as exc:
        raise EmbeddedServerError(
            f"The stack on {stack.data_dir} (process {stack.pid}) is another user's. Fix: end it as that user."
        ) from exc
