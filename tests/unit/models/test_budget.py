"""The arithmetic of budgets: whatever happens in whatever order, no more is set aside than the limit leaves."""

from datetime import date
from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.budget.budget import (
    MAX_USD,
    Account,
    Asking,
    Limit,
    Sum,
    allot,
    day_account,
    over_budget,
    plan_account,
    reached,
    reserve_of,
    with_allowed,
)
from chimera.models.gate.policy import Amount, AtLimit, Budget, Policy, SkillPolicy
from chimera.models.work.decision import Verdict
from chimera.models.work.task import TaskState
from tests.unit import strategies  # noqa: F401  its profile

CENT = Decimal("0.01")
PLANS = (UUID(int=1), UUID(int=2))


def cents(number: int, tokens: int = 0) -> Sum:
    return Sum(number * CENT, tokens)


def usd(number: int) -> Amount:
    return Amount(cost_usd=number * CENT)


SUMS = st.builds(cents, st.integers(0, 40), st.integers(0, 400))
LIMITS = st.builds(
    lambda money, tokens: Amount(cost_usd=None if money is None else money * CENT, tokens=tokens),
    st.none() | st.integers(0, 200),
    st.none() | st.integers(0, 2000),
)
# Something is set aside; the oldest reservation is settled for a share of it in tenths, or given back.
STEPS = st.lists(st.tuples(st.just("reserve"), SUMS) | st.tuples(st.just("settle"), st.integers(0, 10)), max_size=60)


@given(LIMITS, STEPS)
def test_reserved_and_spent_never_pass_the_limit(limit: Amount, steps: list[tuple[str, Sum | int]]) -> None:
    account, open_ = Account(limit=limit), list[Sum]()
    for _, value in steps:
        if isinstance(value, Sum):
            if account.fits(value):
                account = account.reserve(value)
                open_.append(value)
            else:
                with pytest.raises(ValueError, match="no more can be reserved"):
                    account.reserve(value)
        elif open_:
            held = open_.pop(0)
            account = account.settle(held, Sum(held.cost_usd * value / 10, held.tokens * value // 10))
        assert (account.reserved + account.spent).within(limit)
        assert account.reserved == sum(open_, Sum())
        assert not account.overrun
        assert not account.is_reached(Sum())


@given(LIMITS, st.lists(st.tuples(SUMS, SUMS), max_size=30))
def test_what_is_spent_passes_the_limit_by_no_more_than_the_overruns(
    limit: Amount, attempts: list[tuple[Sum, Sum]]
) -> None:
    account = Account(limit=limit)
    for held, used in attempts:
        if account.fits(held):
            account = account.reserve(held).settle(held, used)
        assert (account.spent + account.reserved).beyond(account.overrun).within(limit)


POLICIES = st.builds(
    lambda reserves, other, limits, at_limit: Policy(
        skills={
            "a": SkillPolicy(reserve=reserves[0], degrade_to="b" if other else None),
            "b": SkillPolicy(reserve=reserves[1]),
        },
        budget=Budget(day=limits[0], plan=limits[1], task=limits[2], at_limit=at_limit),
    ),
    st.tuples(LIMITS, LIMITS),
    st.booleans(),
    st.tuples(st.none() | LIMITS, st.none() | LIMITS, st.none() | LIMITS),
    st.sampled_from(AtLimit),
)


@given(POLICIES, st.data())
def test_any_interleaving_of_dispatchers_and_judges_stays_within_every_limit(
    policy: Policy, data: st.DataObject
) -> None:
    budget = policy.budget
    assert budget is not None
    day = Account(limit=with_allowed(budget.day, Sum()))
    plans = {plan_id: Account(limit=with_allowed(budget.plan, Sum())) for plan_id in PLANS}
    ids, spent, held = count(1), dict[UUID, Sum](), list[tuple[UUID, UUID, Sum]]()
    waiting = [
        Asking(UUID(int=100 + next(ids)), data.draw(st.sampled_from(PLANS)), data.draw(st.sampled_from("ab")))
        for _ in range(data.draw(st.integers(0, 12)))
    ]
    for _ in range(12):
        if data.draw(st.booleans()):
            done = allot(policy, day, plans, waiting)
            day, plans = done.day, done.plans
            held += [(grant.task_id, grant.plan_id, grant.amount) for grant in done.granted]
            gone = {grant.task_id for grant in done.granted} | {refusal.task_id for refusal in done.refused}
            waiting = [task for task in waiting if task.task_id not in gone]
            assert not {grant.plan_id for grant in done.granted} & done.paused.keys()
        elif held:
            task_id, plan_id, amount = held.pop(data.draw(st.integers(0, len(held) - 1)))
            share = data.draw(st.integers(0, 10))  # 0: given back; 10: spent in full, as where nobody knows
            used = Sum(amount.cost_usd * share / 10, amount.tokens * share // 10)
            day, plans[plan_id] = day.settle(amount, used), plans[plan_id].settle(amount, used)
            spent[task_id] = spent.get(task_id, Sum()) + used
            if data.draw(st.booleans()):
                waiting.append(Asking(task_id, plan_id, "a", spent[task_id]))  # tried again
        for account in (day, *plans.values()):
            assert (account.reserved + account.spent).within(account.limit)
        for task_id, _, amount in held:
            assert budget.task is None or (spent.get(task_id, Sum()) + amount).within(budget.task)
    assert day.reserved == sum((amount for _, _, amount in held), Sum())


@given(POLICIES, st.integers(1, 8))
def test_nothing_waits_where_nothing_is_reserved(policy: Policy, tasks: int) -> None:
    """Each is granted, refused or its plan paused: what waits, waits for others, and so not for ever."""
    budget = policy.budget
    assert budget is not None
    day, plan = Account(limit=with_allowed(budget.day, Sum())), Account(limit=with_allowed(budget.plan, Sum()))
    asking = [Asking(UUID(int=100 + number), PLANS[0], "a") for number in range(tasks)]
    done = allot(policy, day, {PLANS[0]: plan}, asking)
    answered = {grant.task_id for grant in done.granted} | {refusal.task_id for refusal in done.refused}
    assert answered or done.paused or done.day.reserved
    assert len(answered) == tasks or done.paused or any(grant.amount for grant in done.granted)


def policy_of(at_limit: AtLimit, **limits: Amount) -> Policy:
    return Policy(
        defaults=SkillPolicy(reserve=usd(5)),
        skills={"cheap": SkillPolicy(reserve=usd(1)), "a": SkillPolicy(degrade_to="cheap")},
        budget=Budget(at_limit=at_limit, **limits),
    )


def tasks(number: int, skill: str = "a", plan_id: UUID = PLANS[0]) -> list[Asking]:
    return [Asking(UUID(int=100 + each), plan_id, skill) for each in range(number)]


def test_the_first_come_get_it_and_the_rest_waits() -> None:
    policy = policy_of(AtLimit.STOP, day=usd(12))
    done = allot(policy, Account(limit=usd(12)), {PLANS[0]: Account()}, tasks(4))
    assert [grant.task_id.int for grant in done.granted] == [100, 101]
    assert (done.refused, done.paused, reached(done)) == ([], {}, [])
    assert (done.day.reserved, done.plans[PLANS[0]].reserved) == (cents(10), cents(10))


def test_reached_is_what_could_not_fit_whatever_is_given_back() -> None:
    policy = policy_of(AtLimit.STOP, day=usd(12))
    spent = Account(limit=usd(12), spent=cents(8))
    done = allot(policy, spent, {PLANS[0]: Account()}, tasks(2))
    assert [(refusal.task_id.int, refusal.limit) for refusal in done.refused] == [(100, Limit.DAY), (101, Limit.DAY)]
    [event] = reached(done)
    assert (event.kind, event.actor) == ("plan.budget_reached", "budget")
    assert event.facts == {"limit": "budget.day", "at_limit": "stop", "tasks": 2}


@pytest.mark.parametrize(
    ("day", "plan", "spent", "limit"),
    [(0, 0, 8, Limit.TASK), (0, 8, 0, Limit.PLAN), (8, 0, 0, Limit.DAY), (8, 8, 8, Limit.TASK), (8, 8, 0, Limit.PLAN)],
)
def test_the_narrowest_limit_is_named(day: int, plan: int, spent: int, limit: Limit) -> None:
    policy = policy_of(AtLimit.STOP, day=usd(12), plan=usd(12), task=usd(12))
    asking = [Asking(UUID(int=100), PLANS[0], "a", cents(spent))]
    accounts = {PLANS[0]: Account(limit=usd(12), spent=cents(plan))}
    done = allot(policy, Account(limit=usd(12), spent=cents(day)), accounts, asking)
    assert [refusal.limit for refusal in done.refused] == [limit]


def test_a_paused_plan_gets_nothing_and_others_go_on() -> None:
    policy = policy_of(AtLimit.HITL, plan=usd(12))
    plans = {PLANS[0]: Account(limit=usd(12), spent=cents(8)), PLANS[1]: Account(limit=usd(12))}
    asking = [*tasks(1, "cheap"), *tasks(1), Asking(UUID(int=200), PLANS[1], "a")]
    done = allot(policy, Account(), plans, asking)
    assert done.paused == {PLANS[0]: Limit.PLAN}
    assert [grant.task_id.int for grant in done.granted] == [200]
    assert [event.kind for event in reached(done)] == ["plan.budget_reached", "plan.paused"]


def test_a_task_s_limit_pauses_nothing() -> None:
    policy = policy_of(AtLimit.HITL, task=usd(4))
    done = allot(policy, Account(), {PLANS[0]: Account()}, tasks(1))
    assert done.paused == {}
    assert [refusal.limit for refusal in done.refused] == [Limit.TASK]


def test_degrading_goes_one_step() -> None:
    policy = policy_of(AtLimit.DEGRADE, day=usd(10))
    done = allot(policy, Account(limit=usd(10), spent=cents(9)), {PLANS[0]: Account()}, tasks(2))
    [grant] = done.granted
    assert (grant.skill, grant.amount, grant.degraded_by) == ("cheap", cents(1), Limit.DAY)
    assert done.refused == [], "the second waits: the first may cost less"
    other = allot(policy, Account(limit=usd(10), spent=cents(9)), {PLANS[0]: Account()}, tasks(1, "of-no-other"))
    assert [refusal.limit for refusal in other.refused] == [Limit.DAY]


def test_what_needs_nothing_is_not_held_up() -> None:
    policy = Policy(skills={"a": SkillPolicy(reserve=usd(5))}, budget=Budget(day=usd(5)))
    asking = [*tasks(2), Asking(UUID(int=200), PLANS[0], "free")]
    done = allot(policy, Account(limit=usd(5)), {PLANS[0]: Account()}, asking)
    assert [grant.task_id.int for grant in done.granted] == [100, 200]
    overrun = allot(policy, Account(limit=usd(5), spent=cents(6)), {PLANS[0]: Account()}, asking)
    assert len(overrun.refused) == 3, "beyond the limit nothing starts, whatever it says that it needs"


def test_what_is_left() -> None:
    account = Account(limit=Amount(cost_usd=Decimal(1), tokens=10), reserved=cents(30, 4), spent=cents(80, 2))
    assert account.left == Amount(cost_usd=Decimal(0), tokens=4)
    assert Account().left == Amount()


def test_what_is_allowed_comes_on_top_of_a_limit_that_there_is() -> None:
    assert with_allowed(usd(5), cents(3, 7)) == usd(8)
    assert with_allowed(None, cents(3)) == Amount()
    assert with_allowed(Amount(cost_usd=MAX_USD), cents(3)).cost_usd == MAX_USD


def test_names_and_rulings() -> None:
    assert day_account(date(2026, 11, 21)) == "day:2026-11-21"
    assert plan_account(PLANS[0]) == "plan:00000000000000000000000000000001"
    assert min(plan_account(PLANS[0]), day_account(date(2026, 1, 1))).startswith("day")
    assert reserve_of(Policy(), "any") == Sum()
    ruling = over_budget(Limit.DAY)
    assert (ruling.verdict, ruling.next_state, ruling.final) == (Verdict.DENY, TaskState.DENIED, True)
    assert [reason.rule for reason in ruling.reasons] == ["budget.day"]


def test_the_database_knows_by_the_text_s_beginning_whether_there_is_a_budget() -> None:
    """Its column `budgeted` looks at nothing else: the keys are sorted, and this one is the first."""
    assert Policy(budget=Budget()).body.startswith('{"budget":{')
    assert Policy().body.startswith('{"budget":null')
