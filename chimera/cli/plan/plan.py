"""`chimera plan`: submit plans, follow them, stop or pause them, read what they brought."""

from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import PlanId, Tenant, choice, plan_handle, require_tenant, services
from chimera.cli.output import Format, Limit, Output, age, document, line, say, table
from chimera.cli.plan import control as plan_control
from chimera.cli.plan import results as plan_results
from chimera.cli.plan import submit as plan_submit
from chimera.cli.plan.view import Timeout, end_with, event_json, next_step, plan_json, show_plan

if TYPE_CHECKING:
    from chimera.models.work.plan import Plan

app = typer.Typer(help="Submit plans, follow them, stop or pause them, read what they brought.", no_args_is_help=True)
app.command("submit")(plan_submit.submit)


@app.command("list")
def list_plans(
    tenant: Tenant,
    state: Annotated[
        str | None, typer.Option("--state", help="Only plans in this state: running, in_review, ...")
    ] = None,
    session: Annotated[str | None, typer.Option("--session", help="Only plans of this session.")] = None,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """The latest plans, newest first."""
    from chimera.models.work.plan import PlanState

    plans = services().adapters.plans.list_plans(tenant, limit, choice(PlanState, state, "--state"), session)
    if not plans:
        require_tenant(tenant)
    if output is Format.JSON:
        document([plan_json(plan) for plan in plans])
        return
    if not plans:
        of_session = f" in session {session}" if session is not None else ""
        say(f"no plans of {tenant}{of_session}" + (f" that are {state}" if state else ""))
        return
    table(["PLAN", "PLANNER", "STATE", "GATED", "REVIEW", "FAILED", "AGE"], map(_row, plans))


@app.command()
def show(plan: PlanId, tenant: Tenant, output: Output = Format.TABLE) -> None:
    """A plan as it stands: state, counts, what waits for a skill, times, what it has spent, and what to do next."""
    from chimera.cli.budget.view import plan_budget, plan_budget_json
    from chimera.cli.skill.waits import plan_waits, planner_lacking, planner_told, wait_json, wait_told

    found = plan_handle(tenant, plan).plan
    [standing] = services().governing.budgets.standing(tenant, found.plan_id).plans
    waits = plan_waits(tenant, found.plan_id) if found.counts.open else []
    lacking = planner_lacking(found)
    if output is Format.JSON:
        waiting = [wait_json(*wait) for wait in waits]
        waiting += [lacking] if lacking else []
        document(plan_json(found) | {"budget": plan_budget_json(standing), "waiting": waiting})
        return
    told = [wait_told(*wait) for wait in waits]
    told += [planner_told(lacking)] if lacking else []
    show_plan(found, plan_budget(standing), told)
    next_step(found)


@app.command()
def watch(plan: PlanId, tenant: Tenant, timeout: Timeout = None, output: Output = Format.TABLE) -> None:
    """Follow a plan until it has ended, or only people's decisions are missing.

    With -o json: one event a line, from the first on.
    """
    handle = plan_handle(tenant, plan)
    if output is Format.JSON:
        for event in handle.events(timeout):
            line(event_json(event))
        end_with(handle.plan)
        return
    from chimera.cli.plan.progress import follow

    ended, _ = follow(handle, timeout)
    show_plan(ended)
    next_step(ended)
    end_with(ended)


@app.command()
def wait(plan: PlanId, tenant: Tenant, timeout: Timeout = None, output: Output = Format.TABLE) -> None:
    """Wait until a plan has ended, or only people's decisions are missing."""
    from chimera.cli.plan.progress import follow

    ended, _ = follow(plan_handle(tenant, plan), timeout, quiet=True)
    if output is Format.JSON:
        document(plan_json(ended))
    else:
        show_plan(ended)
        next_step(ended)
    end_with(ended)


app.command("cancel")(plan_control.cancel)
app.command("pause")(plan_control.pause)
app.command("resume")(plan_control.resume)
app.command("retry")(plan_control.retry)
app.command("results")(plan_results.results)


def _row(plan: "Plan") -> list[str]:
    counts = plan.counts
    return [
        str(plan_json(plan)["plan_id"]),
        plan.planner,
        plan.standing,
        f"{counts.gated}/{counts.tasks}",
        str(counts.in_review),
        str(counts.failed),
        age(plan.submitted_at),
    ]
