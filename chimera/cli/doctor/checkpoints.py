"""Whether the audit is sealed by checkpoints."""

from collections.abc import Iterator

from chimera.cli.doctor.finding import Finding, Status


def checkpoints(name: str) -> Iterator[Finding]:
    """Whether every tenant is sealed in time."""
    from chimera.bootstrap import auditing
    from chimera.settings import settings

    limit_seconds = settings().sealing_limit_seconds
    places = auditing().places
    if limit_seconds is None:
        fix = "run `chimera seal`, and set CHIMERA_SEALED_WITHIN_SECONDS (docs/audit.md): else a cut audit goes unseen"
        yield Finding(name, Status.WARN, "off: nothing outside of the database vouches for the audit", fix)
        return
    if not places or settings().seal_database_url is None:
        what = f"asked for within {limit_seconds:g} s; whether it is done is not seen from here"
        fix = "look with the variables of `chimera seal`: CHIMERA_SEAL_DATABASE_URL, CHIMERA_CHECKPOINTS"
        yield Finding(name, Status.WARN, what, fix)
        return
    key = auditing().key_ring.check()
    for place in places:
        place.check()
    overdue = auditing().checkpointer.overdue()
    for tenant_id, late_seconds in overdue:
        stopped = late_seconds > limit_seconds
        what = f"tenant {tenant_id} is not sealed for {late_seconds:.0f} s" + (
            ": nothing is decided" if stopped else ""
        )
        fix = "see that `chimera seal` runs, and what it logs (audit_not_sealed)"
        yield Finding(name, Status.FAIL if stopped else Status.WARN, what, fix)
    if not overdue:
        kept = ", ".join(place.name for place in places)
        seconds = settings().checkpoint_seconds
        yield Finding(name, Status.OK, f"every {seconds:g} s, signed with key {key.key_id}, kept in {kept}")
