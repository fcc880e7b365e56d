"""Budgets, in memory."""

from datetime import date
from uuid import UUID

from chimera.errors import UnknownTenant
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.budget import NOTHING, Sum, day_account, plan_account
from chimera.ports import budget_store as port
from chimera.ports.budget_store import AccountStanding, TaskCost, TenantBudget
from tests.fakes import budgeting
from tests.fakes.database import BudgetRow, FakeDatabase


class FakeBudgetStore(port.BudgetStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def standing(self, tenant_id: str, plan_id: UUID | None, limit: int) -> TenantBudget:
        database = self._database.opened()
        if plan_id is None:
            keys = [key for owner, key in database.budgets if owner == tenant_id and isinstance(key, UUID)]
            plans = sorted(keys, reverse=True)[:limit]
        else:
            plans = [database.asked_plan(tenant_id, plan_id).plan_id]
        day = budgeting.today(database)
        standings = [self._standing(tenant_id, key) for key in plans]
        return TenantBudget(database.policy(tenant_id), self._standing(tenant_id, day), standings)

    def costs(self, tenant_id: str, plan_id: UUID, after: tuple[int, int], limit: int) -> list[TaskCost]:
        rows = [row for row in self._database.opened().tasks.values() if row.task.plan_id == plan_id]
        found = [
            TaskCost(
                task_id=row.task.task_id,
                wave_no=row.task.wave_no,
                ordinal=row.task.ordinal,
                skill=row.task.skill,
                degraded_from=row.degraded_from,
                state=row.state,
                attempt=row.attempt,
                reserved=row.reserved,
                spent=row.spent,
            )
            for row in rows
            if row.task.tenant_id == tenant_id and (row.task.wave_no, row.task.ordinal) > after
        ]
        return sorted(found, key=lambda cost: (cost.wave_no, cost.ordinal))[:limit]

    def allow(self, tenant_id: str, plan_id: UUID | None, amount: Sum, actor: str) -> AccountStanding:
        database = self._database.opened()
        if tenant_id not in database.tenants:
            raise UnknownTenant
        key = (
            budgeting.today(database)
            if plan_id is None
            else database.asked_plan(tenant_id, plan_id, "allow", actor).plan_id
        )
        row = budgeting.account_row(database, tenant_id, key)
        row.allowed += amount
        row.allowed_at = database.now()
        name = plan_account(key) if isinstance(key, UUID) else day_account(key)
        facts = {"account": name, "cost_usd": str(amount.cost_usd), "tokens": amount.tokens}
        database.record(
            tenant_id, [AuditEvent(kind=AuditKind.BUDGET_ALLOWED, actor=actor, plan_id=plan_id, facts=facts)]
        )
        return self._standing(tenant_id, key)

    def _standing(self, tenant_id: str, key: date | UUID) -> AccountStanding:
        row = self._database.budgets.get((tenant_id, key), BudgetRow())
        return AccountStanding(
            day=None if isinstance(key, UUID) else key,
            plan_id=key if isinstance(key, UUID) else None,
            account=budgeting.account(self._database, tenant_id, key),
            allowed=row.allowed or NOTHING,
        )
