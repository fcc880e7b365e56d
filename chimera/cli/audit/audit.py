"""`chimera audit`: what happened, who decided it, and why."""

from typing import TYPE_CHECKING, Any

import typer

from chimera.cli.audit import erase as audit_erase
from chimera.cli.audit import export as audit_export
from chimera.cli.audit import key as audit_key
from chimera.cli.audit import repair as audit_repair
from chimera.cli.audit import verify as audit_verify
from chimera.cli.audit.selection import ByActor, KindOption, PlanOption, RuleOption, TaskOption, selection
from chimera.cli.context import Actor, Tenant, actor, services
from chimera.cli.output import Format, Limit, Output, document, moment, say, table
from chimera.cli.since import Since, Until
from chimera.cli.text import erased_by
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from chimera.models.audit.audit import AuditEntry

app = typer.Typer(help="Read the record of what happened and who decided it.", no_args_is_help=True)
app.command("verify")(audit_verify.verify)
app.command("export")(audit_export.export)
app.command("erase")(audit_erase.erase)
app.command("repair")(audit_repair.repair)
app.add_typer(audit_key.app, name="key")


@app.command("list")
def list_entries(
    tenant: Tenant,
    since: Since = None,
    until: Until = None,
    who: ByActor = None,
    plan: PlanOption = None,
    task: TaskOption = None,
    kind: KindOption = None,
    rule: RuleOption = None,
    limit: Limit = 50,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """The tenant's latest entries in order; of a plan, its first ones. That they were read is an entry too."""
    wanted = selection(tenant, since, until, who, plan, task, kind, rule)
    plans = services().adapters.plans
    if wanted.plan_id:
        after = plans.get(tenant, wanted.plan_id).first_audit_seq - 1
        entries = plans.entries(tenant, wanted.plan_id, after, limit, wanted)
    else:
        entries = plans.last_entries(tenant, limit, wanted)
    asked = wanted.facts()
    facts = {"command": "audit list", "plan": asked.pop("plan"), "limit": limit, "rows": len(entries)}
    given = {name: value for name, value in asked.items() if value}
    services().adapters.access.note_read(tenant, actor(by), facts | given)
    erased = services().adapters.plans.erased(tenant, _about(entries))
    if output is Format.JSON:
        document([entry_json(entry) | {"redacted": bool(_about([entry]) & erased)} for entry in entries])
        return
    if not entries:
        say(f"no {'such ' if given else ''}entries of {tenant}")
        return
    table(["SEQ", "AT", "KIND", "ACTOR", "ABOUT", "WHAT"], _rows(entries, erased))
    if len(entries) == limit:
        say(f"{limit} entries; --limit shows more")


def entry_json(entry: "AuditEntry") -> dict[str, Any]:
    """The entry with its facts, what its hash is taken of (`body`), and what that has the SHA-256 of."""
    return {
        "tenant_id": entry.tenant_id,
        "seq": entry.seq,
        "at": entry.at,
        "kind": entry.kind,
        "actor": entry.actor,
        "plan_id": entry.plan_id and format_id(IdKind.PLAN, entry.plan_id),
        "task_id": entry.task_id and format_id(IdKind.TASK, entry.task_id),
        "facts": entry.facts,
        "body": entry.body,
        "payload": entry.payload,
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
    facts: dict[str, Any] | None = values["facts"]
    return [
        str(entry.seq),
        moment(entry.at),
        entry.kind,
        entry.actor + (f" ({facts['by_user']})" if facts and "by_user" in facts else ""),
        values["task_id"] or values["plan_id"] or "",
        ("(erased)" if facts is None else _what(facts, entry.actor)) + (" (redacted)" if redacted else ""),
    ]


def _what(facts: dict[str, Any], who: str) -> str:
    if "status" in facts and "reason" in facts:  # a card that an erasure closed
        return f"{facts['status']}, {erased_by(who, facts['reason'])}"
    rules = ", ".join(reason["rule"] for reason in facts.get("reasons", []))
    shown = ", ".join(f"{key} {facts[key]}" for key in _SHORT if key in facts)
    what = str(facts.get("verdict") or facts.get("status") or shown)
    return f"{what}: {rules}" if rules else what


_SHORT = (
    *("planner", "tasks", "waves", "code", "revision", "approvals", "approvals_needed", "until"),
    *("command", "rows", "asked_for", "to", "more", "reason"),
)
