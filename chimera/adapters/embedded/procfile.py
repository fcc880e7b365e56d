"""The Procfile: one `name: command` a line."""

import re
from collections.abc import Mapping
from pathlib import Path

from chimera.errors import EmbeddedServerError

_ENTRY = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)")


def read_procfile(path: Path) -> Mapping[str, str]:
    """The commands of a Procfile by name, in its order; blank lines and lines that begin with # are skipped.

    Raises:
        EmbeddedServerError: there is no such file, a line is no entry, a name comes twice, or none does.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise EmbeddedServerError(f"The Procfile {path} cannot be read: {exc.strerror}.") from exc
    commands: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line.strip())
        if entry is None or entry[1] in commands:
            fault = "is no `name: command`" if entry is None else f"names {entry[1]} a second time"
            raise EmbeddedServerError(f"Line {number} of {path} {fault}: {line.strip()}")
        commands[entry[1]] = entry[2]
    if not commands:
        raise EmbeddedServerError(f"{path} names no process.")
    return commands
