"""What a plan's tasks would set aside of a budget, before any of them is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from chimera.models.budget.budget import Account, Asking, Limit, Sum, allot, reserve_of
from chimera.models.gate.policy import Amount, AtLimit, Policy


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task as its planner yields it."""

    skill: str
    max_attempts: int


@dataclass(slots=True)
class SkillShare:
    """What the tasks of one skill need."""

    skill: str
    each: Sum
    tasks: int = 0


@dataclass(slots=True)
class OverLimit:
    """Tasks next to each other, by their place in the plan from 0, that would not fit."""

    first: int
    last: int
    skill: str
    limit: Limit
    becomes: AtLimit
    # The skill that they would run instead.
    degrades_to: str | None = None


@dataclass(slots=True)
class Estimate:
    """What a plan would set aside, where every attempt costs what is set aside for it."""

    tasks: int
    skills: list[SkillShare] = field(default_factory=list)
    # For one attempt at each task; and for all that they may be given, as far as the limit of a task lets them.
    first: Sum = Sum()  # noqa: RUF009  frozen
    most: Sum = Sum()  # noqa: RUF009
    over: list[OverLimit] = field(default_factory=list)


def estimate(policy: Policy, day: Account, plan: Account, tasks: Sequence[PlannedTask]) -> Estimate:
    """What these tasks would set aside, in their order, and which of them would not fit.

    Args:
        policy: the one in force.
        day: today's account; what others have set aside counts as spent.
        plan: the account of a new plan.
        tasks: in the planner's order.
    """
    found = Estimate(len(tasks))
    shares: dict[str, SkillShare] = {}
    of_task = policy.budget.task if policy.budget is not None else None
    left = replace(day, reserved=Sum(), spent=day.spent + day.reserved)
    plan_id, paused = UUID(int=0), None
    for place, task in enumerate(tasks):
        amount = reserve_of(policy, task.skill)
        share = shares.setdefault(task.skill, SkillShare(task.skill, amount))
        share.tasks += 1
        found.first += amount
        found.most += amount.times(_attempts(amount, task.max_attempts, of_task))
        if paused is not None:
            _add(found, place, task.skill, paused, AtLimit.HITL)
            continue
        done = allot(policy, left, {plan_id: plan}, [Asking(UUID(int=place + 1), plan_id, task.skill)])
        for grant in done.granted:
            left, plan = left.settle(Sum(), grant.amount), plan.settle(Sum(), grant.amount)
            if grant.degraded_by is not None:
                _add(found, place, task.skill, grant.degraded_by, AtLimit.DEGRADE, grant.skill)
        for refusal in done.refused:
            _add(found, place, task.skill, refusal.limit, AtLimit.STOP)
        for limit in done.paused.values():
            paused = limit
            _add(found, place, task.skill, limit, AtLimit.HITL)
    found.skills = sorted(shares.values(), key=lambda share: share.skill)
    return found


def _attempts(amount: Sum, max_attempts: int, limit: Amount | None) -> int:
    """As often as a task may be tried."""
    fitting = [max_attempts]
    if limit is not None and limit.cost_usd is not None and amount.cost_usd:
        fitting.append(int(limit.cost_usd // amount.cost_usd))
    if limit is not None and limit.tokens is not None and amount.tokens:
        fitting.append(limit.tokens // amount.tokens)
    return min(fitting)


def _add(
    found: Estimate, place: int, skill: str, limit: Limit, becomes: AtLimit, degrades_to: str | None = None
) -> None:
    new = OverLimit(place, place, skill, limit, becomes, degrades_to)
    if found.over and replace(found.over[-1], first=place, last=place) == new and found.over[-1].last == place - 1:
        found.over[-1].last = place
    else:
        found.over.append(new)
