"""Budgets: how they stand, allowing more once, and what a plan would need of one."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from chimera.errors import InvalidInput
from chimera.models.budget.budget import Account, Sum, with_allowed
from chimera.models.budget.estimate import Estimate, estimate
from chimera.models.gate.policy import Amount, Budget
from chimera.models.text.person import require_person
from chimera.ports.budget_store import AccountStanding, BudgetStore, TaskCost, TenantBudget
from chimera.services.planner import PlannerService

_PAGE = 1000


class BudgetService:
    """Reads budgets; nothing here sets aside or settles, which is done where tasks are sent and decided on."""

    def __init__(self, store: BudgetStore, planner: PlannerService) -> None:
        self._store = store
        self._planner = planner

    def standing(self, tenant_id: str, plan_id: UUID | None = None, limit: int = 20) -> TenantBudget:
        """Today's account, and those of the latest plans, or of one.

        Raises:
            PlanNotFound: the tenant has no such plan.
            StoreUnavailable: PostgreSQL does not answer.
        """
        return self._store.standing(tenant_id, plan_id, limit)

    def costs(self, tenant_id: str, plan_id: UUID) -> Iterator[TaskCost]:
        """A plan's tasks with what is set aside for them and what they cost, in the order of its waves."""
        after = (-1, -1)
        while page := self._store.costs(tenant_id, plan_id, after, _PAGE):
            yield from page
            after = (page[-1].wave_no, page[-1].ordinal)

    def estimate(
        self, tenant_id: str, planner: str, goal: str, inputs: dict[str, Any]
    ) -> tuple[TenantBudget, Estimate]:
        """Runs a planner here, stores nothing, and says what its tasks would set aside.

        Raises:
            InvalidInput: the planner is not known here, does not take the inputs, or fails.
            StoreUnavailable: PostgreSQL does not answer.
        """
        tasks = self._planner.preview(planner, goal, inputs)
        standing = self._store.standing(tenant_id, None, 1)
        policy = standing.policy.policy
        plan = Account(limit=with_allowed((policy.budget or Budget()).plan, Sum()))
        return standing, estimate(policy, standing.today.account, plan, tasks)


def allow(store: BudgetStore, tenant_id: str, plan_id: UUID | None, amount: Sum, actor: str) -> AccountStanding:
    """Raises today's limit, or a plan's, by an amount; what was paused for it goes on with the next sweep.

    Args:
        store: in a role that may.
        tenant_id: whose budget.
        plan_id: None for the day's.
        amount: by how much.
        actor: who allows it.

    Raises:
        InvalidInput: the amount is nothing, or the policy in force has no such limit.
        PlanNotFound: the tenant has no such plan.
    """
    if not amount:
        raise InvalidInput("nothing is allowed: say how much, more than 0")
    budget = store.standing(tenant_id, plan_id, 1).policy.policy.budget or Budget()
    limit = budget.limit_of(plan_id) or Amount()
    what = "day" if plan_id is None else "plan"
    for unit, given, limited in (
        ("dollars", amount.cost_usd, limit.cost_usd),
        ("tokens", amount.tokens, limit.tokens),
    ):
        if given and limited is None:
            raise InvalidInput(f"the policy of {tenant_id} limits no {unit} a {what}: there is nothing to raise")
    return store.allow(tenant_id, plan_id, amount, require_person(actor))
