"""`chimera audit export`: a tenant's audit with its proofs, in one file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chimera.cli.audit.selection import ByActor, KindOption, PlanOption, RuleOption, TaskOption, selection
from chimera.cli.audit.verify import believed
from chimera.cli.context import Actor, Tenant, actor, command, services
from chimera.cli.output import Format, Output, document, say, tell
from chimera.cli.since import Since, Until
from chimera.errors import InvalidInput


class ExportFormat(StrEnum):
    """The form of an export."""

    JSONL = "jsonl"
    CSV = "csv"


def export(
    tenant: Tenant,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - is standard output.")],
    since: Since = None,
    until: Until = None,
    who: ByActor = None,
    plan: PlanOption = None,
    task: TaskOption = None,
    kind: KindOption = None,
    rule: RuleOption = None,
    form: Annotated[ExportFormat, typer.Option("--format", case_sensitive=False, help="JSON lines, or CSV.")] = (
        ExportFormat.JSONL
    ),
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Write a tenant's audit to a file: every entry, the checkpoints that seal it, and the keys to verify them.

    That it was read is an entry too, the last one of the file. With any filter but --since the file is a selection: it
    says so, has no checkpoints, and proves nothing.
    """
    from datetime import UTC, datetime

    from chimera.adapters.files.audit_export import write_export
    from chimera.models.audit.audit import NO_ENTRIES
    from chimera.models.audit.export import ExportHeader
    from chimera.services.audit_proof import export_items, selected_items

    if str(file) == "-" and output is Format.JSON:
        raise InvalidInput("an export to standard output leaves no room for -o json: name a file")
    wanted = selection(tenant, since, until, who, plan, task, kind, rule)
    asked = wanted.facts()
    facts = {"command": "audit export", "since": asked.pop("since")}
    services().adapters.access.note_read(
        tenant, actor(by), facts | {name: value for name, value in asked.items() if value}
    )
    with services().adapters.audit_log.view(tenant) as view:
        head = view.head()
        after = view.entry_before(wanted.since) if wanted.since else NO_ENTRIES
        header = ExportHeader(
            tenant_id=tenant,
            exported_at=datetime.now(UTC),
            after_seq=after.seq,
            after_hash=after.hash.hex(),
            head_seq=head.seq,
            head_hash=head.hash.hex(),
            keys=() if wanted.is_selection else believed(None) or (),
            filter=wanted if wanted.is_selection else None,
        )
        items = selected_items(view, wanted) if wanted.is_selection else export_items(view, after.seq)
        entries = write_export(file, header, items, as_csv=form is ExportFormat.CSV)
    if output is Format.JSON:
        document({"tenant_id": tenant, "file": str(file), "format": form, "entries": entries, "head_seq": head.seq})
    elif str(file) != "-":
        tell(f"{entries} entries of {tenant} are in {file}")
        if wanted.is_selection:
            say("it is a selection, not the chain: it says so itself, and cannot be verified")
            return
        say(f"`{command('audit', 'verify', '--offline', str(file))}` verifies it, and so does verify_export.py")
