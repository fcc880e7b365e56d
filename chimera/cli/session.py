"""`chimera session`: plans that belong together, whether the next one may start, and holding or ending them all."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import Actor, Tenant, actor, choice, command, require_tenant, services
from chimera.cli.output import Format, Limit, Output, age, document, facts, moment, say, table
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.models.work.session import Session, SessionChange

app = typer.Typer(
    help="Hold, let go on or end all plans of a session: those that it has, and those that are submitted to it later.",
    no_args_is_help=True,
)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="The session's name, as --session of a plan has it.")]


@app.command("list")
def list_sessions(
    tenant: Tenant,
    state: Annotated[str | None, typer.Option("--state", help="Only those that are open, paused or stopped.")] = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """The sessions, those opened last first."""
    from chimera.models.work.session import SessionState

    wanted = choice(SessionState, state, "--state")
    sessions = services().adapters.sessions.list_sessions(tenant, state=wanted, limit=limit)
    if not sessions:
        require_tenant(tenant)
    if output is Format.JSON:
        document([session_json(session) for session in sessions])
        return
    if not sessions:
        say(f"no sessions of {tenant}" + (f" that are {wanted}" if wanted else ""))
        return
    table(["SESSION", "STATE", "PLANS", "OPEN", "AGE", "CHANGED", "BY"], map(_row, sessions))
    if len(sessions) == limit:
        say(f"the latest {limit}; --limit shows more")


@app.command()
def show(session: SessionId, tenant: Tenant, output: Output = Format.TABLE) -> None:
    """A session: its state, who changed it last and when, and how many plans it has."""
    found = services().adapters.sessions.get(tenant, session)
    if output is Format.JSON:
        document(session_json(found))
        return
    facts(
        [
            ("session", found.session_id),
            ("tenant", found.tenant_id),
            ("state", found.state),
            ("changed", f"{moment(found.changed_at)} by {found.changed_by}" if found.changed_at else ""),
            ("opened", f"{moment(found.opened_at)} by {found.opened_by}"),
            ("plans", f"{found.plans}, {found.open_plans} of them open"),
        ]
    )
    say(f"next: {command('plan', 'list', '--tenant', tenant, '--session', session)}")


@app.command()
def pause(session: SessionId, tenant: Tenant, by: Actor = None, output: Output = Format.TABLE) -> None:
    """Pause its open plans; what is submitted to it waits until it is resumed. What runs finishes, deadlines go on."""
    _show(services().submitting.sessions.pause(tenant, session, actor(by)), output)
    if output is Format.TABLE:
        say(f"next: {command('session', 'resume', session, '--tenant', tenant)}")


@app.command()
def resume(session: SessionId, tenant: Tenant, by: Actor = None, output: Output = Format.TABLE) -> None:
    """Let its plans go on, those that were submitted meanwhile too."""
    _show(services().submitting.sessions.resume(tenant, session, actor(by)), output)


@app.command()
def stop(session: SessionId, tenant: Tenant, by: Actor = None, output: Output = Format.TABLE) -> None:
    """Cancel its open plans, and refuse what is submitted to it from now on. It cannot be opened again."""
    _show(services().submitting.sessions.stop(tenant, session, actor(by)), output)


def session_json(session: "Session") -> dict[str, Any]:
    """The session's fields."""
    return session.model_dump(mode="json")


def _show(change: "SessionChange", output: Format) -> None:
    plans = [(format_id(IdKind.PLAN, plan.plan_id), plan) for plan in change.plans]
    if output is Format.JSON:
        changed = [plan.model_dump(mode="json") | {"plan_id": plan_id} for plan_id, plan in plans]
        document(session_json(change.session) | {"changed_plans": changed})
        return
    if plans:
        table(["PLAN", "STATE"], [[plan_id, plan.standing] for plan_id, plan in plans])
    else:
        say("no plan of it had to be changed")
    session = change.session
    by = f", by {session.changed_by} {moment(session.changed_at)}" if session.changed_by else ""
    say(f"session {session.session_id} is {session.state}{by}")


def _row(session: "Session") -> list[str]:
    changed = f"{age(session.changed_at)} ago" if session.changed_at else ""
    return [
        session.session_id,
        session.state,
        str(session.plans),
        str(session.open_plans),
        age(session.opened_at),
        changed,
        session.changed_by or "",
    ]
