"""What a prefork pool's children have done, in memory that they share with the worker's main process."""

import mmap
import os
import struct

from billiard.process import current_process

from chimera.models.work.agent import AgentTally

# The process that wrote it, its tasks done and failed, and the seconds that it was busy.
_ENTRY = struct.Struct("=QQQd")
# Children with a larger number in their pool are not told of.
_MOST_CHILDREN = 4096


class Board:
    """Made before the pool forks. Each child writes its entry, at its number in the pool; the main process reads."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ENTRY.size * _MOST_CHILDREN)

    def tell(self, done: int, failed: int, busy_seconds: float) -> None:
        """Writes what this process has done, where it is a pool's child."""
        number = getattr(current_process(), "index", None)
        if isinstance(number, int) and number < _MOST_CHILDREN:
            _ENTRY.pack_into(self._memory, number * _ENTRY.size, os.getpid(), done, failed, busy_seconds)

    def read(self, number: int | None, pid: int) -> AgentTally:
        """What the child of this number has done; nothing, where the entry is its predecessor's."""
        if number is None or number >= _MOST_CHILDREN:
            return AgentTally()
        writer, done, failed, busy = _ENTRY.unpack_from(self._memory, number * _ENTRY.size)
        return AgentTally(tasks_done=done, tasks_failed=failed, busy_seconds=busy) if writer == pid else AgentTally()
