"""`chimera audit`: what happened, who decided it, and why."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli import audit_erase
from chimera.cli.context import Actor, Tenant, actor, plan_handle, services
from chimera.cli.output import Format, Limit, Output, document, moment, say, table
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from chimera.models.audit import AuditEntry

app = typer.Typer(help="Read the record of what happened and who decided it.", no_args_is_help=True)
app.command("erase")(audit_erase.erase)


@app.command("list")
def list_entries(
    tenant: Tenant,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only entries of this plan.")] = None,
    limit: Limit = 50,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """The tenant's latest entries in order; of a plan, its first ones. That they were read is an entry too."""
    if plan:
        handle = plan_handle(tenant, plan)
        after = handle.plan.first_audit_seq - 1
        entries = services().plans.entries(tenant, handle.plan_id, after, limit)
    else:
        entries = services().plans.last_entries(tenant, limit)
    facts = {"command": "audit list", "plan": plan, "limit": limit, "rows": len(entries)}
    services().access.note_read(tenant, actor(by), facts)
    erased = services().plans.erased(tenant, _about(entries))
    if output is Format.JSON:
        document([entry_json(entry) | {"redacted": bool(_about([entry]) & erased)} for entry in entries])
        return
    if not entries:
        say(f"no entries of {tenant}")
        return
    table(["SEQ", "AT", "KIND", "ACTOR", "ABOUT", "WHAT"], _rows(entries, erased))
    if len(entries) == limit:
        say(f"{limit} entries; --limit shows more")


def entry_json(entry: "AuditEntry") -> dict[str, Any]:
    """The entry with its facts, and what its hash is taken of: `body`."""
    return {
        "tenant_id": entry.tenant_id,
        "seq": entry.seq,
        "at": entry.at,
        "kind": entry.kind,
        "actor": entry.actor,
        "plan_id": entry.plan_id and format_id(IdKind.PLAN, entry.plan_id),
        "task_id": entry.task_id and format_id(IdKind.TASK, entry.task_id),
        "facts": json.loads(entry.body)["facts"],
        "body": entry.body,
        "hash": entry.hash.hex(),
    }


def _about(entries: "Sequence[AuditEntry]") -> "set[UUID]":
    """The tasks that the entries are about, and the plans of those about no task."""
    ids = [entry.task_id or entry.plan_id for entry in entries]
    return {each for each in ids if each is not None}


def _rows(entries: "Sequence[AuditEntry]", erased: "set[UUID]") -> list[list[str]]:
    return [_row(entry, redacted=bool(_about([entry]) & erased)) for entry in entries]


def _row(entry: "AuditEntry", *, redacted: bool) -> list[str]:
    values = entry_json(entry)
    facts: dict[str, Any] = values["facts"]
    rules = ", ".join(reason["rule"] for reason in facts.get("reasons", []))
    what = (
        facts.get("verdict")
        or facts.get("status")
        or ", ".join(f"{key} {facts[key]}" for key in _SHORT if key in facts)
    )
    return [
        str(entry.seq),
        moment(entry.at),
        entry.kind,
        entry.actor,
        values["task_id"] or values["plan_id"] or "",
        (f"{what}: {rules}" if rules else str(what)) + (" (redacted)" if redacted else ""),
    ]


_SHORT = (
    *("planner", "tasks", "waves", "code", "revision", "approvals", "approvals_needed", "until"),
    *("command", "rows", "asked_for", "to", "more", "reason"),
)
