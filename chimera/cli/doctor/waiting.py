"""What waits for a skill that no worker has, or not all have."""

from collections.abc import Iterator

from chimera.cli.doctor.finding import Finding, Status

_ISOLATED = (
    "start a worker with CHIMERA_ISOLATION=host, or with the tenant's own logins: the operator's floor isolates it"
)


def waiting(name: str) -> Iterator[Finding]:
    """Queued tasks that wait for an agent with their skill, of all tenants."""
    from chimera.cli.context import services
    from chimera.cli.skill.waits import wait_told, with_workers

    found = with_workers(services().adapters.all_waits.of_all())
    for wait, workers in found:
        fix = "nothing, if a deploy is under way: it goes on with workers that have the skill"
        if wait.isolated:
            fix = _ISOLATED if not workers else "nothing: it goes on with those"
        elif not workers:
            fix = "start a worker whose celeryconfig.py imports the skill's module; else its plans' deadlines end it"
        yield Finding(name, Status.WARN, f"{wait.tenant_id}: {wait_told(wait, workers)}", fix)
    if not found:
        yield Finding(name, Status.OK, "nothing waits for a skill")
