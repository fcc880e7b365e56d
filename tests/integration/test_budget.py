"""Budgets with real workers: whatever is tried again, killed and dispatched at once, the limit holds."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from chimera import Chimera, PlanHandle, PlanState, TaskState
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.budget_store import BudgetStore
from chimera.adapters.postgres.stores.policy_store import PolicyStore
from chimera.bootstrap import Services
from chimera.models.budget.budget import Account, Limit, Sum
from chimera.models.gate.policy import Amount, AtLimit, Bands, Budget, Policy, SkillPolicy
from tests.integration.conftest import OwnWorker
from tests.integration.waiting import eventually

DOLLAR = Decimal(1)
FIVE_CENTS = Decimal("0.05")


def usd(amount: str) -> Amount:
    return Amount(cost_usd=Decimal(amount))


@pytest.fixture
def peak(swarm_owner: Database, tenant: str) -> Iterator[Callable[[], Decimal]]:
    """The most that was ever reserved and spent together of the tenant's day: noted by the database at each change."""
    with swarm_owner.transaction(tenant) as connection:
        connection.execute("create table budget_peak (tenant_id text, usd numeric)")
        connection.execute("grant insert on budget_peak to chimera_writer")
        connection.execute(
            """
            create function note_budget_peak() returns trigger language plpgsql as $$
            begin
                insert into budget_peak values (new.tenant_id, new.reserved_usd + new.spent_usd);
                return null;
            end $$
            """
        )
        connection.execute(
            """
            create trigger note_budget_peak after update on budget for each row when (new.account like 'day:%')
                execute function note_budget_peak()
            """
        )

    def read() -> Decimal:
        with swarm_owner.transaction(tenant) as connection:
            row = connection.execute(
                "select max(usd) as usd from budget_peak where tenant_id = %s", [tenant]
            ).fetchone()
        assert row is not None
        found: Decimal = row["usd"]
        return found

    yield read
    with swarm_owner.transaction(tenant) as connection:
        connection.execute("drop trigger note_budget_peak on budget")
        connection.execute("drop function note_budget_peak")
        connection.execute("drop table budget_peak")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o777)
    return tmp_path


Apply = Callable[..., None]


@pytest.fixture
def apply(swarm_owner: Database, tenant: str) -> Apply:
    """Puts a budget in force for the test's tenant."""

    def put(at_limit: AtLimit = AtLimit.STOP, **limits: Amount) -> None:
        skills = {
            "test.paid": SkillPolicy(reserve=usd("0.05"), degrade_to="test.cheap"),
            "test.cheap": SkillPolicy(reserve=usd("0.01")),
        }
        bands = SkillPolicy(confidence=Bands(approve=0.7, hitl=0.5, retry=0.1))
        policy = Policy(defaults=bands, skills=skills, budget=Budget(at_limit=at_limit, **limits))
        PolicyStore(swarm_owner).apply(tenant, policy, "cfo")

    return put


@pytest.fixture
def today(swarm_owner: Database, tenant: str) -> Callable[[], Account]:
    return lambda: BudgetStore(swarm_owner).standing(tenant, None, 0).today.account


def calls(folder: Path) -> list[str]:
    return (folder / "journal").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def busy_dispatchers(services: Services, chimera: Chimera, tenant: str) -> Iterator[None]:
    """Sweeps without a pause, four at once: each of them dispatches whatever may go out."""
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            services.judging.sweep.run()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("busy_dispatchers")
def test_a_hundred_tasks_of_five_cents_never_use_more_than_a_dollar(
    chimera: Chimera,
    tenant: str,
    apply: Apply,
    own_worker: OwnWorker,
    folder: Path,
    peak: Callable[[], Decimal],
    today: Callable[[], Account],
) -> None:
    apply(day=usd("1.00"))
    doomed = own_worker("doomed", "-c", "8")
    kinds = ("fail", "pay", "unsure", "pay", "pay")
    plans = [
        chimera.submit(
            "test.paid",
            tenant=tenant,
            inputs={
                "folder": str(folder),
                "names": [f"{kinds[number % 5]} {plan} {number}" for number in range(20)],
                "seconds": 0.3,
            },
        )
        for plan in range(5)
    ]
    eventually(lambda: (folder / "journal").exists() and len(calls(folder)) >= 8, 60)
    os.killpg(doomed.pid, signal.SIGKILL)  # in the middle of what it runs
    own_worker("next", "-c", "8")
    ended = [plan.wait(timeout=120) for plan in plans]

    assert {plan.state for plan in ended} == {PlanState.COMPLETED}
    account = today()
    assert (account.spent.cost_usd, account.reserved) == (DOLLAR, Sum()), "all of it is used, and nothing is held"
    assert peak() == DOLLAR, "and at no time was it more"
    for_nothing = {call for call in calls(folder) if call.startswith("fail")}  # the first time each
    assert len(calls(folder)) - len(for_nothing) <= 20
    assert sum(plan.counts.committed for plan in ended) + sum(plan.counts.denied for plan in ended) == 100
    assert sum(plan.counts.committed for plan in ended) <= 20
    costs = [cost for plan in plans for cost in all_costs(chimera, plan)]
    assert sum(cost.cost_usd for cost in costs) == DOLLAR


def all_costs(chimera: Chimera, plan: PlanHandle) -> list[Sum]:
    services: Services = chimera._services
    return [cost.spent for cost in services.governing.budgets.costs(plan.tenant_id, plan.plan_id)]


def test_degraded_tasks_are_run_by_the_cheaper_skill(
    chimera: Chimera, tenant: str, apply: Apply, folder: Path, today: Callable[[], Account]
) -> None:
    apply(AtLimit.DEGRADE, day=usd("0.12"))
    names = [f"pay {number}" for number in range(6)]
    plan = chimera.submit("test.paid", tenant=tenant, inputs={"folder": str(folder), "names": names, "seconds": 0.0})
    ended = plan.wait(timeout=60)
    assert (ended.state, ended.counts.committed, ended.counts.denied) == (PlanState.COMPLETED, 4, 2)
    results = list(plan.results())
    assert sorted(result.skill for result in results if result.state is TaskState.APPROVED) == [
        "test.cheap", "test.cheap", "test.paid", "test.paid",
    ]  # fmt: skip
    assert today().spent == Sum(Decimal("0.12"), 22)
    assert len(calls(folder)) == 2


def test_a_plan_waits_for_a_person_who_allows_more(
    chimera: Chimera, swarm_owner: Database, tenant: str, apply: Apply, folder: Path, today: Callable[[], Account]
) -> None:
    apply(AtLimit.HITL, day=usd("0.10"))
    names = [f"pay {number}" for number in range(4)]
    plan = chimera.submit("test.paid", tenant=tenant, inputs={"folder": str(folder), "names": names, "seconds": 0.0})
    eventually(lambda: plan.plan.paused, 60)
    assert (plan.plan.paused_by, plan.counts.committed) == (Limit.DAY, 2)
    assert today().spent.cost_usd == Decimal("0.10")

    BudgetStore(swarm_owner).allow(tenant, None, Sum(Decimal("0.10")), "cfo")
    ended = plan.wait(timeout=60)
    assert (ended.state, ended.counts.committed) == (PlanState.COMPLETED, 4)
    assert today().spent.cost_usd == Decimal("0.20")
    kinds = [event.kind for event in plan.events(timeout=10)]
    assert [kind for kind in kinds if not kind.startswith("task.")] == [
        "plan.submitted", "plan.planned", "plan.budget_reached", "plan.paused", "plan.resumed", "plan.completed",
    ]  # fmt: skip
