"""`chimera audit export`: a tenant's audit with its proofs, in one file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chimera.cli.audit.verify import believed
from chimera.cli.context import Actor, Tenant, actor, command, services
from chimera.cli.output import Format, Output, document, say, tell
from chimera.cli.since import Since, moment_of
from chimera.errors import InvalidInput


class ExportFormat(StrEnum):
    """The form of an export."""

    JSONL = "jsonl"
    CSV = "csv"


def export(
    tenant: Tenant,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - is standard output.")],
    since: Since = None,
    form: Annotated[ExportFormat, typer.Option("--format", case_sensitive=False, help="JSON lines, or CSV.")] = (
        ExportFormat.JSONL
    ),
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Write a tenant's audit to a file: every entry, the checkpoints that seal it, and the keys to verify them.

    That it was read is an entry too, the last one of the file.
    """
    from datetime import UTC, datetime

    from chimera.adapters.files.audit_export import write_export
    from chimera.models.audit.audit import NO_ENTRIES
    from chimera.models.audit.export import ExportHeader
    from chimera.services.audit_proof import export_items

    if str(file) == "-" and output is Format.JSON:
        raise InvalidInput("an export to standard output leaves no room for -o json: name a file")
    moment = moment_of(since)
    services().adapters.access.note_read(
        tenant, actor(by), {"command": "audit export", "since": moment and moment.isoformat()}
    )
    with services().adapters.audit_log.view(tenant) as view:
        head = view.head()
        after = view.entry_before(moment) if moment else NO_ENTRIES
        header = ExportHeader(
            tenant_id=tenant,
            exported_at=datetime.now(UTC),
            after_seq=after.seq,
            after_hash=after.hash.hex(),
            head_seq=head.seq,
            head_hash=head.hash.hex(),
            keys=believed(None) or (),
        )
        entries = write_export(file, header, export_items(view, after.seq), as_csv=form is ExportFormat.CSV)
    if output is Format.JSON:
        document({"tenant_id": tenant, "file": str(file), "format": form, "entries": entries, "head_seq": head.seq})
    elif str(file) != "-":
        tell(f"{entries} entries of {tenant} are in {file}")
        say(f"`{command('audit', 'verify', '--offline', str(file))}` verifies it, and so does verify_export.py")
