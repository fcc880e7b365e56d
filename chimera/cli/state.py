"""`chimera state`: what a tenant's tasks have agreed on, and which of them committed it."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import Tenant, command, require_tenant, services
from chimera.cli.output import Format, Limit, Output, document, moment, say, table, tell
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.work.state import StateEntry

app = typer.Typer(
    help="Read shared state: entries with a value and a version, which approved tasks have written.",
    no_args_is_help=True,
)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of an entry.")]
# What of a value stands in a table's row.
_SHOWN_CHARACTERS = 60


@app.command()
def get(key: Key, tenant: Tenant, output: Output = Format.TABLE) -> None:
    """An entry: its value as JSON, its version, and the commit that made it so."""
    entry = services().adapters.states.get(tenant, key)
    if output is Format.JSON:
        document(entry_json(entry))
        return
    tell("redacted" if entry.erased else json.dumps(entry.value, indent=2))
    say(f"version {entry.version}, committed {moment(entry.committed_at)}, decided by {entry.decided_by}")
    say(f"by task {format_id(IdKind.TASK, entry.task_id)} of plan {format_id(IdKind.PLAN, entry.plan_id)}")
    if entry.version > 1:
        say(f"next: {command('state', 'history', key, '--tenant', tenant)}")


@app.command("list")
def list_entries(
    tenant: Tenant,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only keys that begin so.")] = "",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """The entries as they are now, by key."""
    entries = services().adapters.states.list_entries(tenant, prefix, limit)
    if not entries:
        require_tenant(tenant)
    if output is Format.JSON:
        document([entry_json(entry) for entry in entries])
        return
    if not entries:
        say(f"no shared state of {tenant}" + (f" with a key that begins with {prefix!r}" if prefix else ""))
        return
    table(["KEY", "VERSION", "COMMITTED", "BY", "TASK", "VALUE"], ([entry.key, *_row(entry)] for entry in entries))
    if len(entries) == limit:
        say(f"the first {limit}; --limit shows more")


@app.command()
def history(key: Key, tenant: Tenant, limit: Limit = 50, output: Output = Format.TABLE) -> None:
    """An entry's versions, newest first: what each was, and who committed it."""
    entries = services().adapters.states.history(tenant, key, limit)
    if output is Format.JSON:
        document([entry_json(entry) for entry in entries])
        return
    table(["VERSION", "COMMITTED", "BY", "TASK", "VALUE"], map(_row, entries))
    if len(entries) == limit:
        say(f"the latest {limit}; --limit shows more")


def entry_json(entry: "StateEntry") -> dict[str, Any]:
    """The entry; ids as the command line takes them."""
    ids = {"plan_id": format_id(IdKind.PLAN, entry.plan_id), "task_id": format_id(IdKind.TASK, entry.task_id)}
    values = entry.model_dump(mode="json", exclude={"erased"}) | {"redacted": entry.erased}
    return values | ids | {"committed_at": entry.committed_at}


def _row(entry: "StateEntry") -> list[str]:
    if entry.erased:
        shown = "redacted"
    elif entry.value_omitted:
        shown = f"(result of {entry.result_size} bytes, SHA-256 {entry.result_sha256[:12]}...)"
    else:
        text = json.dumps(entry.value, ensure_ascii=False)
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
    return [
        str(entry.version),
        moment(entry.committed_at),
        entry.decided_by,
        format_id(IdKind.TASK, entry.task_id),
        shown,
    ]
