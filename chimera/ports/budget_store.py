"""Budgets: how they stand, and allowing more once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol
from uuid import UUID

from chimera.models.budget.budget import Account, Sum
from chimera.models.gate.policy import PolicyInForce
from chimera.models.work.task import TaskState


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """How an account stands, under the policy that is in force now."""

    day: date | None  # in UTC
    plan_id: UUID | None  # where it is not a day's
    account: Account
    # What people have allowed on top of the policy's limit; the account's limit has it.
    allowed: Sum


@dataclass(frozen=True, slots=True)
class TenantBudget:
    """How a tenant's budget stands."""

    policy: PolicyInForce
    today: AccountStanding
    plans: Sequence[AccountStanding]


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What is set aside for a task, and what its attempts cost."""

    task_id: UUID
    wave_no: int
    ordinal: int
    skill: str
    # The skill that it was planned for, where it runs another because a limit was reached.
    degraded_from: str | None
    state: TaskState
    attempt: int
    reserved: Sum
    spent: Sum


class BudgetStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def standing(self, tenant_id: str, plan_id: UUID | None, limit: int) -> TenantBudget:
        """Today's account, and those of the latest plans that something was set aside for, or of one plan.

        Raises:
            PlanNotFound: the tenant has no such plan.
        """
        ...

    def costs(self, tenant_id: str, plan_id: UUID, after: tuple[int, int], limit: int) -> list[TaskCost]:
        """A plan's tasks after this wave number and ordinal, in the order of the waves."""
        ...

    def allow(self, tenant_id: str, plan_id: UUID | None, amount: Sum, actor: str) -> AccountStanding:
        """Raises the limit of today, or of a plan, by this amount, and puts it on record. What waits for it goes on.

        Raises:
            UnknownTenant: there is no such tenant.
            PlanNotFound: the tenant has no such plan.
        """
        ...
