"""Budgets: what is set aside before a task is dispatched, what it cost, and what is left. Arithmetic only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.policy import Amount, AtLimit, Policy
from chimera.models.work.decision import Reason, Ruling, Verdict
from chimera.models.work.task import TaskState

# What the columns hold. What a skill reports beyond that counts as that.
MAX_USD = Decimal("999999999.999999999")
MAX_TOKENS = 2**63 - 1

# Who an entry of the audit names where a budget, and no person, did it.
ACTOR = "budget"


class Limit(StrEnum):
    """Which limit there is nothing left under; the rule that a denial names, and who paused a plan."""

    TASK = "budget.task"
    PLAN = "budget.plan"
    DAY = "budget.day"


@dataclass(frozen=True, slots=True)
class Sum:
    """Money in US dollars, and tokens."""

    cost_usd: Decimal = Decimal(0)
    tokens: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.cost_usd + other.cost_usd, self.tokens + other.tokens)

    def __sub__(self, other: "Sum") -> "Sum":
        return Sum(self.cost_usd - other.cost_usd, self.tokens - other.tokens)

    def __bool__(self) -> bool:
        return bool(self.cost_usd or self.tokens)

    def within(self, limit: Amount) -> bool:
        """Whether it is not above the limit."""
        return (limit.cost_usd is None or self.cost_usd <= limit.cost_usd) and (
            limit.tokens is None or self.tokens <= limit.tokens
        )

    def beyond(self, other: "Sum") -> "Sum":
        """By how much it is above the other, each for itself; nothing where it is not."""
        return Sum(max(self.cost_usd - other.cost_usd, Decimal(0)), max(self.tokens - other.tokens, 0))

    def times(self, count: int) -> "Sum":
        """So often."""
        return Sum(self.cost_usd * count, self.tokens * count)


NOTHING = Sum()


@dataclass(frozen=True, slots=True)
class Account:
    """What a limit is for: a tenant's day or a plan."""

    # What the policy says and people have allowed on top; None is no limit.
    limit: Amount = Amount()  # noqa: RUF009  frozen
    reserved: Sum = NOTHING
    spent: Sum = NOTHING
    # What results reported beyond what was set aside for them: only by that much can more be spent than the limit.
    overrun: Sum = NOTHING

    def is_reached(self, amount: Sum) -> bool:
        """Whether this amount cannot fit any more, even if all that is reserved now is released."""
        return not (self.spent + amount).within(self.limit)

    def fits(self, amount: Sum) -> bool:
        """Whether this amount can be set aside now."""
        return (self.reserved + self.spent + amount).within(self.limit)

    def reserve(self, amount: Sum) -> "Account":
        """Sets this amount aside.

        Raises:
            ValueError: it does not fit.
        """
        if not self.fits(amount):
            raise ValueError("no more can be reserved than the limit leaves")
        return replace(self, reserved=self.reserved + amount)

    def settle(self, reserved: Sum, used: Sum) -> "Account":
        """Puts what was used in the place of what was set aside for it; used nothing, it is released."""
        return replace(
            self,
            reserved=self.reserved - reserved,
            spent=self.spent + used,
            overrun=self.overrun + used.beyond(reserved),
        )

    @property
    def left(self) -> Amount:
        """What can be reserved now; None is no limit."""
        taken, limit = self.reserved + self.spent, self.limit
        return Amount(
            cost_usd=None if limit.cost_usd is None else max(limit.cost_usd - taken.cost_usd, Decimal(0)),
            tokens=None if limit.tokens is None else max(limit.tokens - taken.tokens, 0),
        )


@dataclass(frozen=True, slots=True)
class Asking:
    """A queued task that nothing is set aside for."""

    task_id: UUID
    plan_id: UUID
    skill: str
    # By its earlier attempts.
    spent: Sum = NOTHING


@dataclass(frozen=True, slots=True)
class Grant:
    """What is set aside for a task's next attempt."""

    task_id: UUID
    plan_id: UUID
    skill: str
    amount: Sum
    # The limit for which it runs another skill than it was planned for.
    degraded_by: Limit | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task that does not fit, and which limit it does not fit under."""

    task_id: UUID
    plan_id: UUID
    limit: Limit


@dataclass(slots=True)
class Allotment:
    """What becomes of tasks that ask; those that are not named wait until others are settled."""

    day: Account
    plans: dict[UUID, Account]
    granted: list[Grant] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    # Plans that wait for a person, with the limit that they have reached.
    paused: dict[UUID, Limit] = field(default_factory=dict)


def reserve_of(policy: Policy, skill: str) -> Sum:
    """What is set aside for one attempt at a task of the skill."""
    reserve = policy.of_skill(skill).reserve or Amount()
    return Sum(reserve.cost_usd or Decimal(0), reserve.tokens or 0)


def with_allowed(limit: Amount | None, allowed: Sum) -> Amount:
    """A policy's limit with what people have allowed on top."""
    limit = limit or Amount()
    return Amount(
        cost_usd=None if limit.cost_usd is None else min(limit.cost_usd + allowed.cost_usd, MAX_USD),
        tokens=None if limit.tokens is None else min(limit.tokens + allowed.tokens, MAX_TOKENS),
    )


def day_account(day: date) -> str:
    """The name of the account of a day (UTC)."""
    return f"day:{day.isoformat()}"


def plan_account(plan_id: UUID) -> str:
    """The name of the account of a plan."""
    return f"plan:{plan_id.hex}"


def account_name(today: date, plan_id: UUID | None) -> str:
    """The name of a plan's account; without one, of today's."""
    return day_account(today) if plan_id is None else plan_account(plan_id)


def allot(policy: Policy, day: Account, plans: Mapping[UUID, Account], asking: Sequence[Asking]) -> Allotment:
    """Sets aside what the tasks need, in their order, as far as it fits.

    A limit is reached for a task when it would not fit even if all that is reserved now were given back: then the
    policy says what becomes of it. What could still fit waits, and what comes after it on the same account waits
    behind it, so that many small tasks do not keep a large one waiting for ever.

    Args:
        policy: with a budget or without; without, nothing is limited.
        day: the account of the tenant's day.
        plans: the account of each plan that a task is of.
        asking: the tasks, the most urgent first.
    """
    done = Allotment(day, dict(plans))
    choices = [_choice(policy, day, plans[task.plan_id], task) for task in asking]
    if policy.budget is not None and policy.budget.at_limit is AtLimit.HITL:
        for task, choice in zip(asking, choices, strict=True):
            # Nobody can allow one task more: a plan is not held up for it.
            if isinstance(choice, Limit) and choice is not Limit.TASK:
                done.paused.setdefault(task.plan_id, choice)
    behind: set[UUID | None] = set()  # plans whose tasks wait; None: all of the day's
    for task, choice in zip(asking, choices, strict=True):
        if isinstance(choice, Limit):
            if choice is Limit.TASK or task.plan_id not in done.paused:
                done.refused.append(Refusal(task.task_id, task.plan_id, choice))
        elif task.plan_id not in done.paused:
            _grant(done, choice, behind)
    return done


def _grant(done: Allotment, grant: Grant, behind: set[UUID | None]) -> None:
    plan, amount = done.plans[grant.plan_id], grant.amount
    if amount:
        waits: set[UUID | None] = set()
        if not done.day.fits(amount):
            waits.add(None)
        if not plan.fits(amount):
            waits.add(grant.plan_id)
        if waits or behind & {None, grant.plan_id}:
            behind |= waits
            return
        done.day, done.plans[grant.plan_id] = done.day.reserve(amount), plan.reserve(amount)
    done.granted.append(grant)


def _choice(policy: Policy, day: Account, plan: Account, task: Asking) -> Grant | Limit:
    """What the task needs, of its own skill or of the one that it is degraded to; or the limit that it has reached."""
    amount = reserve_of(policy, task.skill)
    limit = _reached(policy, day, plan, task, amount)
    if limit is None:
        return Grant(task.task_id, task.plan_id, task.skill, amount)
    other = policy.of_skill(task.skill).degrade_to
    if policy.budget is None or policy.budget.at_limit is not AtLimit.DEGRADE or other in {None, task.skill}:
        return limit
    assert other is not None
    amount = reserve_of(policy, other)
    if _reached(policy, day, plan, task, amount) is not None:
        return limit
    return Grant(task.task_id, task.plan_id, other, amount, degraded_by=limit)


def _reached(policy: Policy, day: Account, plan: Account, task: Asking, amount: Sum) -> Limit | None:
    of_task = policy.budget.task if policy.budget is not None else None
    if of_task is not None and not (task.spent + amount).within(of_task):
        return Limit.TASK
    if plan.is_reached(amount):
        return Limit.PLAN
    return Limit.DAY if day.is_reached(amount) else None


def reached(done: Allotment) -> list[AuditEvent]:
    """What the audit is to say of it: for each plan which limit was reached, for how many tasks, and what was done."""
    counts: Counter[tuple[UUID, Limit, AtLimit]] = Counter()
    for refusal in done.refused:
        counts[refusal.plan_id, refusal.limit, AtLimit.STOP] += 1
    for grant in done.granted:
        if grant.degraded_by is not None:
            counts[grant.plan_id, grant.degraded_by, AtLimit.DEGRADE] += 1
    events = [
        _reached_event(plan_id, {"limit": limit, "at_limit": effect, "tasks": count})
        for (plan_id, limit, effect), count in counts.items()
    ]
    for plan_id, limit in done.paused.items():
        events.append(_reached_event(plan_id, {"limit": limit, "at_limit": AtLimit.HITL}))
        events.append(AuditEvent(kind=AuditKind.PLAN_PAUSED, actor=ACTOR, plan_id=plan_id, facts={}))
    return events


def _reached_event(plan_id: UUID, facts: dict[str, Any]) -> AuditEvent:
    return AuditEvent(kind=AuditKind.PLAN_BUDGET_REACHED, actor=ACTOR, plan_id=plan_id, facts=facts)


def overrun(plan_id: UUID, beyond: Sum) -> AuditEvent:
    """What the audit is to say where results report more than was set aside for them, of what is limited."""
    facts = {"cost_usd": str(beyond.cost_usd), "tokens": beyond.tokens}
    return AuditEvent(kind=AuditKind.BUDGET_OVERRUN, actor=ACTOR, plan_id=plan_id, facts=facts)


def over_budget(limit: str) -> Ruling:
    """The ruling on a task that does not fit under a limit."""
    return Ruling(verdict=Verdict.DENY, reasons=(Reason(rule=limit),), next_state=TaskState.DENIED)
