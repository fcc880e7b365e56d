"""What sets aside and settles what tasks cost, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date
from decimal import Decimal
from uuid import UUID

from chimera.models.audit.audit import AuditEvent
from chimera.models.budget.budget import NOTHING, Account, Asking, Sum, allot, overrun, reached, with_allowed
from chimera.models.budget.cost import CostKnowledge
from chimera.models.gate.policy import Budget
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from tests.fakes.database import BudgetRow, FakeDatabase, TaskRow, WaveRow


def today(database: FakeDatabase) -> date:
    return database.now().astimezone(UTC).date()


def account_row(database: FakeDatabase, tenant_id: str, key: date | UUID) -> BudgetRow:
    return database.budgets.setdefault((tenant_id, key), BudgetRow())


def account(database: FakeDatabase, tenant_id: str, key: date | UUID) -> Account:
    """As it stands under the policy in force."""
    row = database.budgets.get((tenant_id, key), BudgetRow())
    budget = database.policy(tenant_id).policy.budget or Budget()
    limit = with_allowed(budget.plan if isinstance(key, UUID) else budget.day, row.allowed)
    return replace(row.account, limit=limit)


def queued(database: FakeDatabase, wave: WaveRef) -> list[TaskRow]:
    return [row for row in database.wave_tasks(wave) if row.state is TaskState.QUEUED]


def asks(row: TaskRow) -> bool:
    """Whether nothing is set aside yet for the task, which waits for an agent and is not refused."""
    return row.waits and row.reserved_for != row.attempt + 1


def allot_waves(database: FakeDatabase, tenant_id: str, waves: Sequence[WaveRow]) -> set[UUID]:
    """Sets aside for the queued tasks of these waves; returns the tasks that got something."""
    _release_idle(database, tenant_id)
    day = today(database)
    rows = [row for wave in waves for row in queued(database, wave.ref) if asks(row)]
    if not rows:
        for wave in waves:
            wave.budget_waits = False
        return set()
    asking = [Asking(row.task.task_id, row.task.plan_id, row.task.skill, row.spent) for row in rows]
    plans = {task.plan_id: account(database, tenant_id, task.plan_id) for task in asking}
    policy = database.policy(tenant_id).policy
    done = allot(policy, account(database, tenant_id, day), plans, asking)
    account_row(database, tenant_id, day).account = done.day
    for plan_id, of_plan in done.plans.items():
        account_row(database, tenant_id, plan_id).account = of_plan
    by_id = {row.task.task_id: row for row in rows}
    for grant in done.granted:
        row = by_id[grant.task_id]
        row.reserved_for, row.reserved, row.reserved_on = row.attempt + 1, grant.amount, day
        if grant.skill != row.task.skill:
            row.degraded_from = row.degraded_from or row.task.skill
            row.task = row.task.model_copy(update={"skill": grant.skill})
    for refusal in done.refused:
        by_id[refusal.task_id].over_budget = refusal.limit
    for plan_id, limit in done.paused.items():
        plan = database.plan(tenant_id, plan_id)
        plan.paused_at, plan.paused_by = database.now(), limit
    events = reached(done)
    if events:
        database.record(tenant_id, events)
    for wave in waves:
        wave.budget_waits = any(asks(row) for row in queued(database, wave.ref))
    return {grant.task_id for grant in done.granted}


def settle(database: FakeDatabase, row: TaskRow, known: CostKnowledge) -> list[AuditEvent]:
    """Puts what an attempt cost in the place of what was set aside for it; returns what the audit is to say of it."""
    if row.reserved_for is None or row.reserved_on is None:
        return []
    used = _used(database, row, known)
    limits = []
    for key in (row.reserved_on, row.task.plan_id):
        each = account_row(database, row.task.tenant_id, key)
        limits.append(each.account.limit)
        each.account = each.account.settle(row.reserved, used)
    row.spent += used
    beyond = used.beyond(row.reserved)
    beyond = Sum(
        beyond.cost_usd if any(limit.cost_usd is not None for limit in limits) else Decimal(0),
        beyond.tokens if any(limit.tokens is not None for limit in limits) else 0,
    )
    row.reserved_for, row.reserved, row.reserved_on = None, NOTHING, None
    return [overrun(row.task.plan_id, beyond)] if beyond else []


def _used(database: FakeDatabase, row: TaskRow, known: CostKnowledge) -> Sum:
    if known is not CostKnowledge.REPORTED:
        return row.reserved if known is CostKnowledge.UNKNOWN else NOTHING
    usage = database.results[row.task.tenant_id, row.task.task_id, row.attempt].usage
    return Sum(usage.cost_usd, usage.tokens)


def _release_idle(database: FakeDatabase, tenant_id: str) -> None:
    for row in database.tasks.values():
        waits = row.task.tenant_id == tenant_id and row.state is TaskState.QUEUED
        if waits and database.plan(tenant_id, row.task.plan_id).paused_at is not None:
            assert not settle(database, row, CostKnowledge.UNUSED)
