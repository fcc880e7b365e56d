"""The project's skills and planners."""

from collections.abc import Iterator, Mapping

from chimera.cli.context import UserCodeBroken, command, load_user_code
from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.doctor.workers import Asked
from chimera.errors import ChimeraError


def user_code(name: str, asked: Asked) -> Iterator[Finding]:
    """Whether what this folder's code registers is what the workers have."""
    try:
        catalogue = load_user_code()
    except UserCodeBroken as exc:
        yield Finding(name, Status.FAIL, str(exc), "mend it, or what `imports` of celeryconfig.py names")
        return
    here = {"planner": frozenset(catalogue.planners), "skill": frozenset(catalogue.skills)}
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


def _told(names: Mapping[str, frozenset[str]]) -> str:
    return "; ".join(f"{kind}s: {', '.join(sorted(known)) or 'none'}" for kind, known in names.items())
