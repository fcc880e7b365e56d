"""What hosts are to be: decided by the worker, and handed to the keeper."""

import sys
from pathlib import Path

from chimera.adapters.host import landlock, limits
from chimera.errors import IsolationImpossible
from chimera.models.record import Record


class HostPlan(Record):
    """How the hosts of one worker are made."""

    # The modules with skills and planners, the project's folder, and where else modules are looked for.
    modules: tuple[str, ...]
    folder: str
    path: tuple[str, ...]
    # The whole environment of a host, but for its own HOME and TMPDIR.
    variables: dict[str, str]
    # Paths that can be read besides Python and the project, and paths that nobody may read wherever they lie.
    readable: tuple[str, ...]
    secret: tuple[str, ...]
    # The range of user ids, one of which a slot's hosts get; None: the worker's own.
    users: tuple[int, int] | None
    landlock: int
    max_memory_bytes: int | None
    max_output_bytes: int
    max_input_bytes: int
    max_tasks: int

    @property
    def max_frame_bytes(self) -> int:
        """The largest answer: an output, or an input that a planner made; as text within JSON twice as long."""
        return 2 * max(self.max_output_bytes, self.max_input_bytes) + (1 << 20)


class Enforced(Record):
    """What keeps hosts apart on this machine."""

    own_user: bool
    # The version of Landlock; 0 where the kernel has none.
    landlock: int

    @property
    def signals(self) -> bool:
        """Whether a host can signal no process but its own."""
        return self.own_user or self.landlock >= landlock.SIGNALS_SINCE


def enforceable() -> Enforced:
    """What this machine lets this process enforce.

    Raises:
        IsolationImpossible: neither a user id of their own nor Landlock.
    """
    enforced = Enforced(own_user=limits.may_change_user() and python_is_open(), landlock=landlock.version())
    if not (enforced.own_user or enforced.landlock):
        raise IsolationImpossible(
            "CHIMERA_ISOLATION=host: this kernel has no Landlock (Linux 5.13, in the list of lsm=), and this worker "
            "may not give its hosts a user id of their own, or they could not enter the folders that Python lies in. "
            "Fix: start the worker as root with a Python that all may read, or take a kernel with Landlock"
        )
    return enforced


def python_is_open() -> bool:
    """Whether every user can enter the folders that Python lies in."""
    places = {Path(sys.base_prefix), Path(sys.prefix), Path(__file__), Path.cwd()}
    folders = {folder for place in places for folder in (place, *place.parents)}
    return all(folder.is_file() or folder.stat().st_mode & 0o5 == 0o5 for folder in folders)
