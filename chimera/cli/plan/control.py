"""`chimera plan cancel`, `pause`, `resume` and `retry`: of one plan, of a session's plans, or of all."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import Actor, Tenant, actor, command, find_id, plan_handle, services
from chimera.cli.output import Format, Output, document, say, table
from chimera.cli.plan.submit import parse_deadline
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.client import Chimera, PlanHandle
    from chimera.models.work.plan import PlanChange
    from chimera.ports.control_store import Retried

OnePlan = Annotated[str | None, typer.Argument(metavar="PLAN", help="A plan's id, whole or short: pl_...")]
Session = Annotated[str | None, typer.Option("--session", help="Instead of a plan: all of this session's.")]
All = Annotated[bool, typer.Option("--all", help="Instead of a plan: all of the tenant's.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --all.")]


def cancel(
    tenant: Tenant,
    plan: OnePlan = None,
    session: Session = None,
    everything: All = False,
    yes: Yes = False,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Stop plans: no further task starts, cards are closed, and what is committed stays."""
    from chimera.models.work.plan import PlanChange

    who = actor(by)
    if _is_one(plan, session, everything, yes, f"cancel every open plan of {tenant}"):
        handle = _handle(tenant, plan)
        changes = [PlanChange(plan_id=handle.plan_id, state=handle.cancel(who))]
    else:
        changes = _chimera().cancel(tenant=tenant, session_id=session, actor=who)
    _show(changes, output, f"no open plans of {_whose(tenant, session)}")
    if output is Format.TABLE and any(change.state == "stopping" for change in changes):
        of_plan = _plan_words(changes, "wait") if len(changes) == 1 else ("plan", "list")
        say(f"open tasks are being closed: {command(*of_plan, '--tenant', tenant)}")


def pause(
    tenant: Tenant,
    plan: OnePlan = None,
    session: Session = None,
    everything: All = False,
    yes: Yes = False,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Pause plans: nothing of them starts until they are resumed. What runs finishes, and deadlines go on."""
    who = actor(by)
    if _is_one(plan, session, everything, yes, f"pause every open plan of {tenant}"):
        changes = [_handle(tenant, plan).pause(who)]
    else:
        changes = _chimera().pause(tenant=tenant, session_id=session, actor=who)
    _show(changes, output, f"no open plans of {_whose(tenant, session)} that are not paused already")
    if output is Format.TABLE and changes:
        scope = _plan_words(changes, "resume") if plan else ("plan", "resume", *_scope_words(session))
        say(f"next: {command(*scope, '--tenant', tenant)}")


def resume(
    tenant: Tenant,
    plan: OnePlan = None,
    session: Session = None,
    everything: All = False,
    yes: Yes = False,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Let paused plans go on."""
    who = actor(by)
    if _is_one(plan, session, everything, yes, f"resume every paused plan of {tenant}"):
        changes = [_handle(tenant, plan).resume(who)]
    else:
        changes = _chimera().resume(tenant=tenant, session_id=session, actor=who)
    _show(changes, output, f"no paused plans of {_whose(tenant, session)}")


def retry(
    tenant: Tenant,
    plan: OnePlan = None,
    session: Session = None,
    everything: All = False,
    yes: Yes = False,
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="Tasks without a usable result; or a plan whose planner failed.")
    ] = False,
    denied: Annotated[bool, typer.Option("--denied", help="Tasks whose result was refused.")] = False,
    stopped: Annotated[bool, typer.Option("--stopped", help="Tasks that were cancelled or have expired.")] = False,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="WHEN", help="Of the new plan: 2026-11-20T18:00Z, or +30m (s, m, h, d)."),
    ] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Try again what did not come to a good end: a new plan of those tasks, and of no others.

    The same command twice is the same plan. What the new plan fails at is tried again by a retry of that one.
    """
    from chimera.models.work.retry import kinds_of

    kinds = kinds_of(failed=failed, denied=denied, stopped=stopped)
    who = actor(by)
    until = parse_deadline(deadline, datetime.now(UTC)) if deadline else None
    if _is_one(plan, session, everything, yes, f"try again every plan of {tenant}"):
        old = find_id(tenant, IdKind.PLAN, str(plan))
        plans = [services().submitting.control.retry(tenant, old, kinds, who, until)]
    else:
        plans = services().submitting.control.retry_ended(tenant, session, kinds, who, until)
    show_retried(plans, output, f"nothing of {_whose(tenant, session)} is to be tried again")
    if output is Format.TABLE and len(plans) == 1:
        new = format_id(IdKind.PLAN, plans[0].plan_id)
        say(f"next: {command('plan', 'watch', new, '--tenant', tenant)}")


def _is_one(plan: str | None, session: str | None, everything: bool, yes: bool, question: str) -> bool:
    """Whether one plan is meant; else a session's or, where that is confirmed, all.

    Raises:
        InvalidInput: it is not clear which are meant, or --all is not confirmed and nobody can be asked.
        typer.Exit: whoever was asked did not want it.
    """
    if (plan is not None) + (session is not None) + everything != 1:
        raise InvalidInput("which plans? Name one, or --session NAME, or --all: exactly one of the three")
    if everything and not yes:
        if not sys.stdin.isatty():
            raise InvalidInput(f"this would {question}: --all needs --yes where nobody can be asked")
        say(f"{question}? [y/N]")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            say("nothing was changed")
            raise typer.Exit(1)
    return plan is not None


def _show(changes: "Sequence[PlanChange]", output: Format, none: str) -> None:
    if output is Format.JSON:
        document([change.model_dump(mode="json") | {"plan_id": _id(change)} for change in changes])
    elif changes:
        table(["PLAN", "STATE"], [[_id(change), change.standing] for change in changes])
    else:
        say(none)


def show_retried(plans: "Sequence[Retried]", output: Format, none: str = "") -> None:
    """The plans that try others again; `none` is said where there are none."""
    if output is Format.JSON:
        document([_retried_json(plan) for plan in plans])
    elif plans:
        rows = [
            [
                format_id(IdKind.PLAN, plan.plan_id),
                format_id(IdKind.PLAN, plan.retry_of),
                str(plan.tasks) if plan.tasks else "not planned yet",
                plan.standing if plan.created else f"{plan.state}; it was there already",
            ]
            for plan in plans
        ]
        table(["PLAN", "RETRY OF", "TASKS", "STATE"], rows)
        for plan in plans:
            if plan.left_out:
                old = format_id(IdKind.PLAN, plan.retry_of)
                say(f"left out: {plan.left_out} tasks of {old} that depend on tasks that are not tried again")
    else:
        say(none)


def _retried_json(plan: "Retried") -> dict[str, object]:
    ids = {
        name: format_id(IdKind.PLAN, value) for name, value in (("plan_id", plan.plan_id), ("retry_of", plan.retry_of))
    }
    return plan.model_dump(mode="json") | ids


def _id(change: "PlanChange") -> str:
    return format_id(IdKind.PLAN, change.plan_id)


def _plan_words(changes: "Sequence[PlanChange]", verb: str) -> tuple[str, ...]:
    return ("plan", verb, _id(changes[0]))


def _scope_words(session: str | None) -> tuple[str, ...]:
    return ("--all",) if session is None else ("--session", session)


def _whose(tenant: str, session: str | None) -> str:
    return tenant if session is None else f"{tenant} in session {session}"


def _handle(tenant: str, plan: str | None) -> "PlanHandle":
    assert plan is not None
    return plan_handle(tenant, plan)


def _chimera() -> "Chimera":
    from chimera.client import Chimera

    return Chimera(services())
