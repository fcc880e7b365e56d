"""Whether the audit is sealed by checkpoints."""

from collections.abc import Iterator

from chimera.cli.doctor.finding import Finding, Status


def checkpoints(name: str) -> Iterator[Finding]:
    """Whether every tenant is sealed in time."""
    from chimera import bootstrap
    from chimera.settings import settings

    services = bootstrap.services()
    if not services.adapters.checkpoint_places:
        fix = "set CHIMERA_CHECKPOINTS and CHIMERA_AUDIT_KEYS (docs/audit.md): else a cut or older audit goes unseen"
        yield Finding(name, Status.WARN, "off: nothing outside of the database vouches for the audit", fix)
        return
    key = services.adapters.key_ring.check()
    for place in services.adapters.checkpoint_places:
        place.check()
    overdue = services.auditing.checkpointer.overdue()
    seconds = settings().checkpoint_seconds
    for tenant_id, late_seconds in overdue:
        stopped = late_seconds > bootstrap.INTERVALS_UNTIL_UNAVAILABLE * seconds
        what = f"tenant {tenant_id} is not sealed for {late_seconds:.0f} s" + (
            ": nothing is decided" if stopped else ""
        )
        fix = "see that beat and a worker of the queue judge run, and what they log (audit_not_sealed)"
        yield Finding(name, Status.FAIL if stopped else Status.WARN, what, fix)
    if not overdue:
        places = ", ".join(place.name for place in services.adapters.checkpoint_places)
        yield Finding(name, Status.OK, f"every {seconds:g} s, signed with key {key.key_id}, kept in {places}")
