"""The embedded stack of this data folder."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.output import age

if TYPE_CHECKING:
    from chimera.adapters.embedded import Death

_WELL_AFTER_SECONDS = 3600.0
_MAX_TOLD = 200


def stack(name: str) -> Iterator[Finding]:
    """Whether an embedded stack runs, and which of its processes have died."""
    from chimera.adapters.embedded import read_deaths, running_stack
    from chimera.settings import data_dir

    stack = running_stack()
    if stack is None:
        yield Finding(name, Status.OK, f"no embedded stack runs on {data_dir()}")
    else:
        yield Finding(name, Status.OK, f"runs on {stack.data_dir} (process {stack.pid})")
        for death in read_deaths(stack.data_dir / "logs"):
            yield _told(name, stack.data_dir, death)


def _told(name: str, data_dir: Path, death: "Death") -> Finding:
    times = "once" if death.times == 1 else f"{death.times} times"
    how = f"signal {-death.exit_code}" if death.exit_code < 0 else f"exit code {death.exit_code}"
    last_line = (death.said.splitlines() or ["nothing in its log"])[-1][:_MAX_TOLD]
    found = f"{death.process} has died {times}, the last time {age(death.at)} ago of {how}: {last_line}"
    # Once, and a while ago: it is well again.
    is_past = (datetime.now(UTC) - death.at).total_seconds() > _WELL_AFTER_SECONDS
    fix = f"see {data_dir / 'logs' / f'{death.process}.log'}; it is started again, at the latest a minute later"
    return Finding(name, Status.OK if is_past else Status.WARN, found, "" if is_past else fix)
