"""A lock on a folder: one file with an flock on it, which the kernel frees when its last holder dies."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self


class Lock:
    """A held lock. Its file names the holder's process id.

    A child that inherits the descriptor (`pass_fds`) holds it too: it is free when all holders are gone.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path, *, patience_seconds: float) -> Self | None:
        """Take the lock, waiting at most this long; None if another holds it all that time."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return None
                time.sleep(0.02)
            else:
                taken = cls(descriptor)
                taken.name_holder(os.getpid())
                return taken

    def name_holder(self, pid: int) -> None:
        """Write down whose lock this is; at first, the process that took it."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{pid}\n".encode(), 0)

    def close(self) -> None:
        """Let go of this process's share of the lock."""
        os.close(self.descriptor)


def holder(path: Path) -> int | None:
    """The process id of a lock's holder; None if the lock is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        while not _is_free(descriptor):
            if name := os.pread(descriptor, 32, 0).strip():
                return int(name)
            time.sleep(0.001)  # it is just being written
    finally:
        os.close(descriptor)
    return None


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
