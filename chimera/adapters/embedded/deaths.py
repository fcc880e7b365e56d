"""Which processes of a stack have died, as its own process writes it and others read it."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from chimera.adapters.files.durable import replace

FILE = "deaths.json"


@dataclass(frozen=True, kw_only=True)
class Death:
    """How often a process has died since the stack's start, and the last time of them."""

    process: str
    times: int
    # Negative for a signal.
    exit_code: int
    at: datetime
    # The last lines of its log.
    said: str


def write_deaths(log_dir: Path, deaths: Iterable[Death]) -> None:
    """Writes them down; on a disk that takes nothing they stay unknown."""
    with suppress(OSError):
        replace(log_dir / FILE, json.dumps([asdict(each) | {"at": each.at.isoformat()} for each in deaths]))


def read_deaths(log_dir: Path) -> list[Death]:
    """What was written down; empty where nothing is."""
    try:
        found = json.loads((log_dir / FILE).read_text(encoding="utf-8"))
        return [Death(**each | {"at": datetime.fromisoformat(each["at"]).astimezone(UTC)}) for each in found]
    except (OSError, ValueError, TypeError, KeyError):
        return []
