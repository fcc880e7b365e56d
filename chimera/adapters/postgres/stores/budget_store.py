"""Budgets, in PostgreSQL. What sets aside and settles is reservations.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps import reservations
from chimera.adapters.postgres.steps.chain import append
from chimera.adapters.postgres.steps.plan_rows import not_found
from chimera.adapters.postgres.steps.policy_in_force import in_force
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.budget import Account, Sum, account_name, with_allowed
from chimera.models.gate.policy import Budget
from chimera.models.ids import IdKind, format_id
from chimera.models.work.task import TaskState
from chimera.ports import budget_store as port
from chimera.ports.budget_store import AccountStanding, TaskCost, TenantBudget

_SQL = statements("budget_store")

Connection = psycopg.Connection[DictRow]


class BudgetStore(port.BudgetStore):
    """In the role `app` to read, in `owner` to allow more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self, tenant_id: str, plan_id: UUID | None, limit: int) -> TenantBudget:  # noqa: D102  see the port
        scope = {"tenant": tenant_id}
        with self._asked(tenant_id, plan_id, "read", "app") as connection:
            policy = in_force(connection, tenant_id)
            budget = policy.policy.budget or Budget()
            today = _today(connection)
            if plan_id is None:
                rows = connection.execute(_SQL["plans"], scope | {"limit": limit}).fetchall()
                plans = [_standing(row, budget, today) for row in rows]
            else:
                _check_plan(connection, tenant_id, plan_id)
                plans = [_read(connection, scope, budget, today, plan_id)]
            day = _read(connection, scope, budget, today, None)
        return TenantBudget(policy, day, plans)

    def costs(  # noqa: D102
        self, tenant_id: str, plan_id: UUID, after: tuple[int, int], limit: int
    ) -> list[TaskCost]:
        values = {"tenant": tenant_id, "plan": plan_id, "wave_no": after[0], "ordinal": after[1], "limit": limit}
        with self._database.transaction(tenant_id) as connection:
            return [_cost(row) for row in connection.execute(_SQL["costs"], values)]

    def allow(self, tenant_id: str, plan_id: UUID | None, amount: Sum, actor: str) -> AccountStanding:  # noqa: D102
        with self._asked(tenant_id, plan_id, "allow", actor) as connection:
            budget = in_force(connection, tenant_id).policy.budget or Budget()
            today = _today(connection)
            if plan_id is not None:
                _check_plan(connection, tenant_id, plan_id)
            account = account_name(today, plan_id)
            values: dict[str, Any] = {"tenant": tenant_id, "account": account, "plan": plan_id}
            values |= {"usd": amount.cost_usd, "tokens": amount.tokens}
            row = connection.execute(_SQL["allow"], values).fetchone()
            assert row is not None
            facts = {"account": account, "cost_usd": str(amount.cost_usd), "tokens": amount.tokens}
            event = AuditEvent(kind=AuditKind.BUDGET_ALLOWED, actor=actor, plan_id=plan_id, facts=facts)
            append(connection, tenant_id, [event])
            return _standing(row, budget, today)

    @contextmanager
    def _asked(self, tenant_id: str, plan_id: UUID | None, to: str, who: str) -> Iterator[Connection]:
        """A transaction on a budget; a plan that is asked for and that the tenant has not goes on record."""
        asked_for = format_id(IdKind.PLAN, plan_id) if plan_id else ""
        with (
            refusals_noted(self._database, tenant_id, asked_for, to, who),
            self._database.transaction(tenant_id) as connection,
        ):
            yield connection


def _check_plan(connection: Connection, tenant_id: str, plan_id: UUID) -> None:
    if connection.execute(_SQL["plan"], {"tenant": tenant_id, "plan": plan_id}).fetchone() is None:
        raise not_found(tenant_id, plan_id)


def _today(connection: Connection) -> date:
    """The day in UTC, by the database's clock."""
    row = connection.execute(_SQL["today"]).fetchone()
    assert row is not None
    found: date = row["today"]
    return found


def _read(
    connection: Connection, scope: dict[str, Any], budget: Budget, today: date, plan_id: UUID | None
) -> AccountStanding:
    account = account_name(today, plan_id)
    row = connection.execute(_SQL["account"], scope | {"account": account}).fetchone()
    if row is not None:
        return _standing(row, budget, today)
    limit = with_allowed(budget.limit_of(plan_id), Sum())
    return AccountStanding(today if plan_id is None else None, plan_id, Account(limit=limit), Sum())


def _standing(row: DictRow, budget: Budget, today: date) -> AccountStanding:
    plan_id: UUID | None = row["plan_id"]
    return AccountStanding(
        day=today if plan_id is None else None,
        plan_id=plan_id,
        account=reservations.account_of(row, budget.limit_of(plan_id)),
        allowed=Sum(row["allowed_usd"], row["allowed_tokens"]),
    )


def _cost(row: DictRow) -> TaskCost:
    return TaskCost(
        task_id=row["task_id"],
        wave_no=row["wave_no"],
        ordinal=row["ordinal"],
        skill=row["skill"],
        degraded_from=row["degraded_from"],
        state=TaskState(row["state"]),
        attempt=row["attempt"],
        reserved=Sum(row["reserved_usd"], row["reserved_tokens"]),
        spent=Sum(row["spent_usd"], row["spent_tokens"]),
    )
