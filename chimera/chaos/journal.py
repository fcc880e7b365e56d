"""What the harness was told, and what skills did, outside of every server that the faults strike."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """A file of JSON lines; each is on the disk before `note` returns, however many processes write."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        """Appends a line, in one write: lines of several processes do not mix."""
        line = json.dumps({"what": what, **facts}, separators=(",", ":")) + "\n"
        with self._lock:
            os.write(self._file, line.encode())
            if self._durable:
                os.fsync(self._file)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)


def read(path: Path, what: str) -> Iterator[dict[str, Any]]:
    """The lines of one sort. A last line that was cut off by a kill is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            entry = json.loads(line)
            if entry["what"] == what:
                yield entry
