"""The project's skills and planners."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from tempfile import TemporaryDirectory
from typing import Any

from chimera.cli.context import UserCodeBroken, command, load_user_code
from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.doctor.workers import Asked
from chimera.errors import ChimeraError


def user_code(name: str, asked: Asked) -> Iterator[Finding]:
    """Whether what this folder's code registers is what the workers have."""
    try:
        here = imported()
    except UserCodeBroken as exc:
        yield Finding(name, Status.FAIL, str(exc), "mend it, or what `imports` of celeryconfig.py names")
        return
    try:
        told = list(asked.workers.values())
    except ChimeraError:
        told = []  # the check of the workers says why
    there = {
        "planner": frozenset[str]().union(*(worker.planners for worker in told)),
        "skill": frozenset[str]().union(*(worker.skills for worker in told)),
    }
    if not here["planner"] and not there["planner"]:
        fix = "run this in the project's folder, and name its modules in `imports` of celeryconfig.py"
        yield Finding(name, Status.WARN, "no planner is registered", fix)
    elif not told:
        yield Finding(name, Status.OK, f"imported here: {_told(here)}")
    elif missing := {kind: here[kind] - there[kind] for kind in here if here[kind] - there[kind]}:
        fix = f"start the workers anew, with this folder's celeryconfig.py (`{command('down')}`, `{command('up')}`)"
        yield Finding(name, Status.WARN, f"no worker that answers has what is imported here: {_told(missing)}", fix)
    elif any(here.values()):
        yield Finding(name, Status.OK, f"the workers have what is imported here: {_told(here)}")
    else:
        yield Finding(name, Status.OK, f"none here; the workers have {_told(there)}")


def imported() -> dict[str, frozenset[str]]:
    """The names of the planners and skills of this folder's code.

    It is imported by a process that has none of this one's logins and keys: who asks has those of the whole deployment.

    Raises:
        UserCodeBroken: a module cannot be imported; the message names it and the line.
    """
    with TemporaryDirectory() as nowhere:
        kept = {name: value for name, value in os.environ.items() if not _is_secret(name)}
        # Nothing connects to that broker: an app needs the name of one.
        own = {"CHIMERA_DATA": nowhere, "CHIMERA_ENV_FILE": "", "CHIMERA_REDIS_URL": "redis://127.0.0.1:1/0"}
        line = [sys.executable, "-c", f"from {__name__} import tell; tell()"]
        ran = subprocess.run(line, env=kept | own, capture_output=True, text=True, check=False)
    try:
        told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise UserCodeBroken(f"a module ended the process that imported it (exit code {ran.returncode})") from None
    if "broken" in told:
        raise UserCodeBroken(told["broken"])
    return {kind: frozenset(names) for kind, names in told.items()}


def _is_secret(name: str) -> bool:
    return name.startswith("CHIMERA_") and name.endswith(("_URL", "_KEY", "_KEYS", "_AUTH", "_FILE"))


def tell() -> None:
    """Imports what celeryconfig.py names, and prints what that brought: the last line of what is printed."""
    try:
        catalogue = load_user_code()
    except UserCodeBroken as exc:
        told: dict[str, Any] = {"broken": str(exc)}
    else:
        told = {"planner": [*catalogue.planners], "skill": [*catalogue.skills]}
    sys.stdout.write(f"{json.dumps(told)}\n")


def _told(names: Mapping[str, frozenset[str]]) -> str:
    return "; ".join(f"{kind}s: {', '.join(sorted(known)) or 'none'}" for kind, known in names.items())
