"""`chimera audit verify`: proves that nobody changed the record."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import AnyTenant, command, services
from chimera.cli.output import Format, Output, document, say, table
from chimera.cli.since import Since, moment_of
from chimera.errors import InvalidInput, UnknownTenant

if TYPE_CHECKING:
    from chimera.models.audit.trust import TrustedKey
    from chimera.services.audit_proof import KeptCheckpoints, Report

Keys = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FILE", help="Believe these public keys (keys.json), not those of this machine."),
]


def verify(
    tenant: AnyTenant = None,
    since: Since = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", metavar="FILE", help="Compare with these checkpoints too: one tenant's, a line each."
        ),
    ] = None,
    offline: Annotated[
        Path | None, typer.Option("--offline", metavar="EXPORT", help="Verify an export; no server is asked.")
    ] = None,
    keys: Keys = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="ID", help="Of an export: believe this key, by its id or public key, only."),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Verify the audit: its chain, its checkpoints, and that every decision is what the audit says of it.

    Exit code 1 if anything is not as it was; the first bad row is named.
    """
    if offline is not None:
        if tenant or since or checkpoint:
            raise InvalidInput("--offline verifies an export as it is: leave out --tenant, --since and --checkpoint")
        reports = [_offline(offline, keys, key)]
    elif key:
        raise InvalidInput("--key is for --offline")
    else:
        reports = list(_reports(tenant, since, checkpoint, keys))
    ok = all(report.ok for report in reports)
    if output is Format.JSON:
        document(_document(reports, ok=ok))
    else:
        _show(reports)
    if not ok:
        raise typer.Exit(1)


def believed(keys: Path | None) -> "tuple[TrustedKey, ...] | None":
    """The keys to believe: of a file, else of this machine; None where it has none."""
    from chimera.adapters.files.key_ring import parse_keys
    from chimera.bootstrap import auditing
    from chimera.settings import settings

    if keys is not None:
        try:
            return parse_keys(keys.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidInput(f"{keys} cannot be read: {exc}") from None
    return auditing().key_ring.trusted() if settings().audit_keys else None


def _reports(tenant: str | None, since: str | None, checkpoint: Path | None, keys: Path | None) -> Iterator["Report"]:
    from datetime import UTC, datetime

    from chimera.services.audit_proof import AuditProof

    if checkpoint is not None and tenant is None:
        raise InvalidInput("--checkpoint is one tenant's: name it with --tenant")
    known = services()
    moment = moment_of(since)
    for tenant_id in [tenant] if tenant else _tenants():
        kept = _kept(tenant_id, checkpoint)  # before the keys: what it ends with may be signed by the newest
        proof = AuditProof(known.adapters.audit_log, believed(keys))
        report = proof.verify(tenant_id, kept, datetime.now(UTC), moment)
        if tenant and report.ok and not report.seq:
            # A tenant has an entry from the start: without one, and without a checkpoint that says so, it is none.
            raise UnknownTenant(f"there is no tenant {tenant!r}, and no checkpoint of one")
        yield report


def _tenants() -> list[str]:
    """Those of the database, and those that a place keeps checkpoints of."""
    from chimera.bootstrap import auditing

    tenants = {tenant.tenant_id for tenant in services().adapters.tenants.list_tenants()}
    return sorted(tenants.union(*(place.tenants() for place in auditing().places)))


def _kept(tenant_id: str, checkpoint: Path | None) -> "list[KeptCheckpoints]":
    from chimera.adapters.files.checkpoint_place import read_checkpoints
    from chimera.bootstrap import auditing
    from chimera.services.audit_proof import KeptCheckpoints, kept_by

    kept = [kept_by(place, tenant_id) for place in auditing().places]
    if checkpoint is not None:
        kept.append(KeptCheckpoints(place=str(checkpoint), checkpoints=list(read_checkpoints(checkpoint))))
    return kept


def _offline(export: Path, keys: Path | None, key: str | None) -> "Report":
    from datetime import UTC, datetime

    from chimera.adapters.files.audit_export import AuditExport
    from chimera.services.audit_proof import verify_export

    # Where nobody says whose seal is believed, that of this deployment's own keys is.
    known = believed(keys) if keys or not key else None
    if not known and not key:
        raise InvalidInput(
            "say whose seal is believed, as known from elsewhere than the export: --key ID, or --keys FILE (keys.json)"
        )
    return verify_export(AuditExport(export), known, datetime.now(UTC), key=key)


def _document(reports: "list[Report]", *, ok: bool) -> dict[str, Any]:
    bad = next(((report.tenant_id, report.first_bad) for report in reports if report.first_bad is not None), None)
    return {
        "ok": ok,
        "rows": sum(report.rows for report in reports),
        "first_bad": bad and {"tenant_id": bad[0], **bad[1].model_dump(mode="json")},
        "tenants": [report.model_dump(mode="json") for report in reports],
    }


def _show(reports: "list[Report]") -> None:
    from chimera.settings import settings

    if not reports:
        say("no tenants")
        return
    rows = [
        [
            "ok" if report.ok else "BAD",
            report.tenant_id,
            str(report.rows),
            f"{report.sealed_seq} of {report.seq}" if report.sealed_seq else "-",
            "; ".join(
                f"{fault.table} {fault.id or ''} entry {fault.seq or '-'}: {fault.what}" for fault in report.faults
            ),
        ]
        for report in reports
    ]
    table(["", "TENANT", "ENTRIES", "SEALED", "FOUND"], rows)
    for report in reports:
        for fault in report.explained:
            say(f"{report.tenant_id}: entry {fault.seq} is wrong, and on record as such (audit.repaired): {fault.what}")
        if report.ok and report.sealed_at:
            part = f"entries {report.after_seq + 1} to {report.seq}" + ("" if report.after_seq else ", all of them")
            say(f"{part}, as of {report.sealed_at.isoformat()}, sealed by key {report.sealed_by}; not what came later")
    if not settings().checkpoints and any(report.ok and report.seq and not report.sealed_at for report in reports):
        say(f"without checkpoints a cut end and an older copy go unseen: `{command('doctor')}` says what to set")
