"""`chimera audit export`: a tenant's audit with its proofs, in one file."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.audit.selection import ByActor, KindOption, PlanOption, RuleOption, TaskOption, selection
from chimera.cli.context import Actor, Tenant, actor, command, services
from chimera.cli.output import Format, Output, document, say, tell
from chimera.cli.since import Since, Until
from chimera.errors import AuditUnavailable, InvalidInput

if TYPE_CHECKING:
    from chimera.models.audit.entry_filter import EntryFilter
    from chimera.models.audit.export import ExportHeader

_ASK_EVERY_SECONDS = 0.2


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
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long `chimera seal` may take to seal it.")
    ] = 60,
    seal_here: Annotated[
        bool, typer.Option("--seal-here", help="Seal it in this process, which has the key and the places.")
    ] = False,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Write a tenant's audit to a file: every entry, the checkpoints that seal it, and a header signed by their key.

    It is sealed first, by the process `chimera seal`. That it was read is an entry too. With any filter but --since the
    file is a selection: it says so, is not sealed, and proves nothing.
    """
    from chimera.adapters.files.audit_export import write_export
    from chimera.services.audit_proof import export_items, selected_items

    if str(file) == "-" and output is Format.JSON:
        raise InvalidInput("an export to standard output leaves no room for -o json: name a file")
    wanted = selection(tenant, since, until, who, plan, task, kind, rule)
    asked = wanted.facts()
    facts = {"command": "audit export", "since": asked.pop("since")}
    services().adapters.access.note_read(
        tenant, actor(by), facts | {name: value for name, value in asked.items() if value}
    )
    header = (
        _of_selection(tenant, wanted)
        if wanted.is_selection
        else _sealed(tenant, wanted, timeout_seconds=timeout, here=seal_here)
    )
    with services().adapters.audit_log.view(tenant) as view:
        items = selected_items(view, wanted) if wanted.is_selection else export_items(view, header)
        entries = write_export(file, header, items, as_csv=form is ExportFormat.CSV)
    if output is Format.JSON:
        head_seq = header.head_seq
        document({"tenant_id": tenant, "file": str(file), "format": form, "entries": entries, "head_seq": head_seq})
    elif str(file) != "-":
        tell(f"{entries} entries of {tenant} are in {file}")
        if wanted.is_selection:
            say("it is a selection, not the chain: it says so itself, and cannot be verified")
            return
        assert header.seal is not None
        key = header.seal.key_id
        say(f"sealed by key {key}: who verifies has to know that id from elsewhere")
        say(f"`{command('audit', 'verify', '--offline', str(file), '--key', key)}`, or verify_export.py, verifies it")


def _of_selection(tenant: str, wanted: "EntryFilter") -> "ExportHeader":
    from datetime import UTC, datetime

    from chimera.models.audit.audit import NO_ENTRIES
    from chimera.models.audit.export import ExportHeader

    with services().adapters.audit_log.view(tenant) as view:
        head, after = view.head(), view.entry_before(wanted.since) if wanted.since else NO_ENTRIES
    return ExportHeader(
        tenant_id=tenant,
        exported_at=datetime.now(UTC),
        after_seq=after.seq,
        after_hash=after.hash.hex(),
        head_seq=head.seq,
        head_hash=head.hash.hex(),
        keys=(),
        filter=wanted,
    )


def _sealed(tenant: str, wanted: "EntryFilter", *, timeout_seconds: float, here: bool) -> "ExportHeader":
    """The header that whoever has the key signs, once a checkpoint seals the audit to its present end.

    Raises:
        AuditUnavailable: that did not happen in time.
        InvalidInput: there are no entries from there on.
    """
    from time import monotonic, sleep

    from chimera.adapters.system_clock import SystemClock
    from chimera.models.audit.audit import NO_ENTRIES
    from chimera.models.audit.export import AskedExport

    exports = services().adapters.exports
    with services().adapters.audit_log.view(tenant) as view:
        after = view.entry_before(wanted.since) if wanted.since else NO_ENTRIES
    asked = AskedExport(tenant_id=tenant, export_id=SystemClock().new_id(), after_seq=after.seq)
    exports.ask(asked)
    if here:
        from chimera.bootstrap import auditing

        auditing().exports.answer(asked)
    until = monotonic() + timeout_seconds
    while (header := exports.header(tenant, asked.export_id)) is None:
        if monotonic() >= until:
            raise AuditUnavailable(
                f"the export was not sealed within {timeout_seconds:g} s: see that `chimera seal` runs, and what it "
                "logs (export_not_sealed, sealing_failed), and try again; where the key is, --seal-here does it"
            )
        sleep(_ASK_EVERY_SECONDS)
    return header
