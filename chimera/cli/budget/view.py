"""How budgets are shown: tables for people, and JSON."""

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chimera.cli.output import Format, document, say, table, tell
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chimera.models.budget.budget import Sum
    from chimera.models.budget.estimate import Estimate, OverLimit
    from chimera.models.gate.policy import Amount
    from chimera.ports.budget_store import AccountStanding, TaskCost, TenantBudget


def tenant_json(tenant: str, found: "TenantBudget") -> dict[str, Any]:
    """A tenant's budget with its limits as JSON; money as text, so that no digit is lost."""
    budget = found.policy.policy.budget
    return {
        "tenant_id": tenant,
        "policy_version": found.policy.version,
        "at_limit": budget.at_limit if budget else None,
        "task_limit": _amount_json(budget.task) if budget and budget.task else None,
        "day": standing_json(found.today),
        "plans": [standing_json(each) for each in found.plans],
    }


def show_estimate(tenant: str, standing: "TenantBudget", found: "Estimate", output: Format) -> None:
    """What a plan would set aside, against what is left."""
    if output is Format.JSON:
        document(
            {
                "tenant_id": tenant,
                "tasks": found.tasks,
                "skills": [
                    {"skill": each.skill, "tasks": each.tasks, "reserve": _sum_json(each.each)} for each in found.skills
                ],
                "first_attempts": _sum_json(found.first),
                "at_most": _sum_json(found.most),
                "fits": not found.over,
                "would_not_fit": [asdict(each) for each in found.over],
                "budget": tenant_json(tenant, standing) | {"plans": []},
            }
        )
        return
    table(
        ["SKILL", "TASKS", "RESERVES EACH", "TOGETHER"],
        [[each.skill, str(each.tasks), said(each.each), said(each.each.times(each.tasks))] for each in found.skills],
    )
    together = f"{found.tasks} tasks would set aside {said(found.first)}"
    tell(f"{together}, and with all of their attempts at most {said(found.most)}")
    budget = standing.policy.policy.budget
    if budget is None:
        say("no budget limits this tenant: nothing would be set aside")
        return
    tell(f"left today: {_left(standing.today.account.left)}; a plan may use {_left(budget.plan)}")
    if not found.over:
        tell("all of them fit, where each attempt costs what is set aside for it")
    for each in found.over:
        tell(_over_text(each))
    say("nothing was stored")


def plan_budget(standing: "AccountStanding") -> str:
    """`$0.15 spent, $0.05 reserved, $0.80 left`; nothing where there is no budget."""
    account = standing.account
    limited = account.limit.cost_usd is not None or account.limit.tokens is not None
    if not limited and not account.spent and not account.reserved:
        return ""
    reserved = f", {said(account.reserved)} reserved" if account.reserved else ""
    return f"{said(account.spent)} spent{reserved}" + (f", {_left(account.left)} left" if limited else "")


def plan_budget_json(standing: "AccountStanding") -> dict[str, Any]:
    """What is reserved and spent of a plan's limit, and what is left."""
    return {name: value for name, value in standing_json(standing).items() if name not in {"day", "plan_id"}}


def rows_of(tenant: str, standings: "Iterable[AccountStanding]", *, every: bool = False) -> list[list[str]]:
    """A row for money and one for tokens, each where it is limited or used."""
    rows = []
    for each in standings:
        account, name = each.account, format_id(IdKind.PLAN, each.plan_id) if each.plan_id else f"{each.day} UTC"
        left = account.left
        if every or account.limit.cost_usd is not None or account.reserved.cost_usd or account.spent.cost_usd:
            numbers = (account.limit.cost_usd, account.reserved.cost_usd, account.spent.cost_usd, left.cost_usd)
            rows.append([tenant, name, "usd", *(usd(number) for number in numbers)])
        if account.limit.tokens is not None or account.reserved.tokens or account.spent.tokens:
            counts = (account.limit.tokens, account.reserved.tokens, account.spent.tokens, left.tokens)
            rows.append([tenant, name, "tokens", *("-" if count is None else str(count) for count in counts)])
    return rows


def show_table(rows: list[list[str]]) -> None:
    """Rows of `rows_of` under their heads."""
    table(["TENANT", "WHAT", "", "LIMIT", "RESERVED", "SPENT", "LEFT"], rows)


def usd(amount: Decimal | None) -> str:
    """`1.00`, `0.000125`: two decimals, or as many as there are; `-` for none."""
    if amount is None:
        return "-"
    exact = amount.normalize()
    exponent = exact.as_tuple().exponent
    return f"{amount:.2f}" if isinstance(exponent, int) and exponent >= -2 else f"{exact:f}"


def said(amount: "Sum") -> str:
    """`$0.05 and 400 tokens`."""
    return _together(amount.cost_usd if amount.cost_usd or not amount.tokens else None, amount.tokens or None)


def _left(amount: "Amount | None") -> str:
    return (amount and _together(amount.cost_usd, amount.tokens)) or "whatever it needs"


def _together(cost_usd: Decimal | None, tokens: int | None) -> str:
    parts = [None if cost_usd is None else f"${usd(cost_usd)}", None if tokens is None else f"{tokens} tokens"]
    return " and ".join(filter(None, parts))


def _over_text(each: "OverLimit") -> str:
    which = f"task {each.first}" if each.first == each.last else f"tasks {each.first} to {each.last}"
    becomes = {
        "stop": "denied",
        "hitl": "left until a person allows more",
        "degrade": f"run by {each.degrades_to}",
    }
    return f"{which} ({each.skill}) would not fit under {each.limit}: {becomes[each.becomes]}"


def standing_json(each: "AccountStanding") -> dict[str, Any]:
    """An account; money as text, so that no digit is lost."""
    account = each.account
    return {
        "day": each.day.isoformat() if each.day else None,
        "plan_id": format_id(IdKind.PLAN, each.plan_id) if each.plan_id else None,
        "limit": _amount_json(account.limit),
        "allowed": _sum_json(each.allowed),
        "reserved": _sum_json(account.reserved),
        "spent": _sum_json(account.spent),
        "overrun": _sum_json(account.overrun),
        "left": _amount_json(account.left),
    }


def cost_json(cost: "TaskCost") -> dict[str, Any]:
    """What a task cost."""
    return {
        "task_id": format_id(IdKind.TASK, cost.task_id),
        "ordinal": cost.ordinal,
        "skill": cost.skill,
        "degraded_from": cost.degraded_from,
        "state": cost.state,
        "attempt": cost.attempt,
        "reserved": _sum_json(cost.reserved),
        "spent": _sum_json(cost.spent),
    }


def _amount_json(amount: "Amount") -> dict[str, Any]:
    return {"cost_usd": None if amount.cost_usd is None else usd(amount.cost_usd), "tokens": amount.tokens}


def _sum_json(amount: "Sum") -> dict[str, Any]:
    return {"cost_usd": usd(amount.cost_usd), "tokens": amount.tokens}
