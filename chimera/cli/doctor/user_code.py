"""The project's skills and planners."""

from collections.abc import Iterator

from chimera.cli.context import UserCodeBroken, load_user_code
from chimera.cli.doctor.finding import Finding, Status


def user_code(name: str) -> Iterator[Finding]:
    """What this folder's code registers."""
    try:
        catalogue = load_user_code()
    except UserCodeBroken as exc:
        yield Finding(name, Status.FAIL, str(exc), "mend it, or what `imports` of celeryconfig.py names")
        return
    if not catalogue.planners:
        fix = "run this in the project's folder, and name its modules in `imports` of celeryconfig.py"
        yield Finding(name, Status.WARN, "no planner is registered", fix)
        return
    found = f"planners: {', '.join(sorted(catalogue.planners))}; skills: {', '.join(sorted(catalogue.skills))}"
    yield Finding(name, Status.OK, found)
