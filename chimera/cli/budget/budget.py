"""`chimera budget`: what tenants may spend, have spent, and may spend once more."""

from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Annotated

import typer

from chimera.cli.budget.view import cost_json, rows_of, said, show_table, standing_json, tenant_json
from chimera.cli.context import Actor, AnyTenant, Tenant, actor, command, find_id, require_tenant, services
from chimera.cli.output import Format, Limit, Output, document, documents, say, table, tell
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id

app = typer.Typer(help="See what tenants may spend and have spent, and allow more once.", no_args_is_help=True)

PlanOption = Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Of this plan.")]


@app.command()
def show(
    tenant: AnyTenant = None,
    plan: PlanOption = None,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """What the limits are, what is reserved and spent of them today and by plan, and what is left.

    With --plan, also what each of its tasks cost.
    """
    if plan is not None and tenant is None:
        raise InvalidInput("--plan needs --tenant: say whose plan it is")
    if plan is not None and tenant is not None:
        _show_plan(tenant, plan, limit, output)
        return
    if tenant is not None:
        require_tenant(tenant)
    tenants = [tenant] if tenant else [each.tenant_id for each in services().adapters.tenants.list_tenants()]
    found = ((each, services().governing.budgets.standing(each, limit=limit if tenant else 0)) for each in tenants)
    if output is Format.JSON:
        shown = (tenant_json(each, standing) for each, standing in found)
        if tenant:
            document(next(shown))
        else:
            documents(shown)
        return
    rows = [row for each, standing in found for row in rows_of(each, [standing.today, *standing.plans])]
    if rows:
        show_table(rows)
    else:
        say(f"no budget limits {tenant or 'any tenant'}, and nothing was set aside")


@app.command()
def allow(
    tenant: Tenant,
    plan: PlanOption = None,
    day_usd: Annotated[
        str | None, typer.Option("--day-usd", metavar="USD", help="Raise today's limit by this many dollars.")
    ] = None,
    day_tokens: Annotated[
        int | None, typer.Option("--day-tokens", min=1, help="Raise today's limit by this many tokens.")
    ] = None,
    plan_usd: Annotated[
        str | None, typer.Option("--plan-usd", metavar="USD", help="Raise the limit of --plan by this many dollars.")
    ] = None,
    plan_tokens: Annotated[
        int | None, typer.Option("--plan-tokens", min=1, help="Raise the limit of --plan by this many tokens.")
    ] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Raise today's limit or a plan's, once. What a budget paused goes on within seconds."""
    from chimera.models.budget.budget import Sum
    from chimera.services.budget_service import allow as allow_more

    day = Sum(_dollars("--day-usd", day_usd), day_tokens or 0)
    of_plan = Sum(_dollars("--plan-usd", plan_usd), plan_tokens or 0)
    if bool(day) == bool(of_plan):
        raise InvalidInput(
            "say what is allowed: --day-usd or --day-tokens, or --plan ID with --plan-usd or --plan-tokens"
        )
    if bool(of_plan) != (plan is not None):
        raise InvalidInput("--plan-usd and --plan-tokens are for --plan ID, and --plan for one of them")
    plan_id = find_id(tenant, IdKind.PLAN, plan) if plan is not None else None
    standing = allow_more(services().adapters.budget_changes, tenant, plan_id, of_plan or day, actor(by))
    if output is Format.JSON:
        document(standing_json(standing))
    else:
        show_table(rows_of(tenant, [standing]))


def _show_plan(tenant: str, plan: str, limit: int, output: Format) -> None:
    plan_id = find_id(tenant, IdKind.PLAN, plan)
    found = services().governing.budgets.standing(tenant, plan_id)
    costs = services().governing.budgets.costs(tenant, plan_id)
    if output is Format.JSON:
        document(tenant_json(tenant, found) | {"tasks": [cost_json(cost) for cost in costs]})
        return
    show_table(rows_of(tenant, [found.today, *found.plans], every=True))
    shown = list(islice(costs, limit + 1))
    tell("")
    table(
        ["TASK", "SKILL", "STATE", "ATTEMPT", "RESERVED", "SPENT"],
        [
            [
                format_id(IdKind.TASK, cost.task_id),
                cost.skill + (f" for {cost.degraded_from}" if cost.degraded_from else ""),
                cost.state,
                str(cost.attempt),
                said(cost.reserved),
                said(cost.spent),
            ]
            for cost in shown[:limit]
        ],
    )
    if len(shown) > limit:
        say(f"the first {limit}; --limit shows more")
    say(f"next: {command('plan', 'show', plan, '--tenant', tenant)}")


def _dollars(option: str, text: str | None) -> Decimal:
    """An amount of money as it was typed.

    Raises:
        InvalidInput: it is none, not above 0, or finer or larger than what is kept.
    """
    from chimera.models.budget.budget import MAX_USD

    if text is None:
        return Decimal(0)
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise InvalidInput(f"{option} {text}: it must be an amount like 2.50") from None
    if not amount.is_finite() or not 0 < amount <= MAX_USD or amount != round(amount, 9):
        raise InvalidInput(f"{option} {text}: it must be above 0, below a billion, with at most nine decimals")
    return amount
