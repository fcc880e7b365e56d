"""Log files: mode 0600, and what was written to them last."""

import os
from pathlib import Path


def open_log(path: Path) -> int:
    """A file descriptor that appends to a log which only its owner may read; the caller closes it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def size(path: Path) -> int:
    """The bytes in a file; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, *, count: int = 15, since: int = 0) -> str:
    """At most `count` lines from the end of a log, of what was written after byte `since`."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(since, size(path) - 16_384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-count:])
