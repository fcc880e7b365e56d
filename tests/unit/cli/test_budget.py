import json
from decimal import Decimal

import pytest

from chimera.models.gate.policy import Amount, AtLimit, Budget, Policy, SkillPolicy
from tests.unit.cli.conftest import Run
from tests.unit.cli.swarm import FakeServices

JSON = ("-o", "json")


def usd(text: str) -> Amount:
    return Amount(cost_usd=Decimal(text))


def budget(services: FakeServices, at_limit: AtLimit = AtLimit.STOP, **limits: Amount) -> None:
    policy = Policy(
        defaults=SkillPolicy(reserve=Amount(cost_usd=Decimal("0.05"), tokens=100)),
        skills={"echo": SkillPolicy(degrade_to="cheap"), "cheap": SkillPolicy(reserve=usd("0.01"))},
        budget=Budget(at_limit=at_limit, **limits),
    )
    services.adapters.policy_changes.apply("acme", policy, "cfo")


def rows(count: int) -> str:
    return "rows=" + json.dumps([{"text": "fine", "confidence": "0.9"}] * count)


def submit(run: Run, count: int, *more: str) -> str:
    ran = run("plan", "submit", "echoes", "-t", "acme", "--set", rows(count), *more, *JSON)
    assert ran.code == 0, ran.err
    return str(ran.json.get("plan_id"))


def test_show_without_a_budget(run: Run) -> None:
    assert run("budget", "show", "-t", "acme").err == "no budget limits acme, and nothing was set aside\n"
    shown = run("budget", "show", "-t", "acme", *JSON).json
    assert (shown["at_limit"], shown["plans"], shown["day"]["limit"]) == (None, [], {"cost_usd": None, "tokens": None})


def test_show(run: Run, services: FakeServices) -> None:
    budget(services, day=usd("1"), plan=Amount(tokens=250))
    plan_id = submit(run, 2)
    head, *lines = (line.split() for line in run("budget", "show", "-t", "acme").out.splitlines())
    assert head == ["TENANT", "WHAT", "LIMIT", "RESERVED", "SPENT", "LEFT"]
    assert ["acme", "2026-03-01", "UTC", "usd", "1.00", "0.00", "0.00", "1.00"] in lines
    assert ["acme", plan_id, "tokens", "250", "0", "0", "250"] in lines


def test_show_a_plan_with_what_its_tasks_cost(run: Run, services: FakeServices) -> None:
    budget(services, AtLimit.DEGRADE, day=usd("0.05"))
    plan_id = submit(run, 2)
    ran = run("budget", "show", "-t", "acme", "--plan", plan_id, "--limit", "1")
    assert "approved" in ran.out
    assert "the first 1; --limit shows more" in ran.err
    shown = run("budget", "show", "-t", "acme", "--plan", plan_id, *JSON).json
    assert [task["spent"] for task in shown["tasks"]] == [{"cost_usd": "0.00", "tokens": 0}] * 2
    assert shown["plans"][0]["plan_id"] == plan_id
    assert run("budget", "show", "--plan", plan_id).code == 2
    assert run("budget", "show", "-t", "acme", "--plan", f"pl_{'0' * 32}").code == 3


def test_plan_show_says_what_it_spent(run: Run, services: FakeServices) -> None:
    assert "budget" not in run("plan", "show", submit(run, 1), "-t", "acme").out
    budget(services, plan=usd("0.5"))
    plan_id = submit(run, 1)
    assert "$0.00 spent, $0.50 left" in run("plan", "show", plan_id, "-t", "acme").out
    assert run("plan", "show", plan_id, "-t", "acme", *JSON).json["budget"]["left"]["cost_usd"] == "0.50"


def test_allow(run: Run, services: FakeServices) -> None:
    budget(services, day=usd("1"), plan=Amount(cost_usd=Decimal("0.5"), tokens=10))
    plan_id = submit(run, 1)
    allowed = run("budget", "allow", "-t", "acme", "--day-usd", "$2.50", "--as", "cfo", *JSON).json
    assert (allowed["limit"]["cost_usd"], allowed["allowed"]["cost_usd"]) == ("3.50", "2.50")
    out = run("budget", "allow", "-t", "acme", "--plan", plan_id, "--plan-tokens", "90").out
    assert [line.split()[3] for line in out.splitlines() if "tokens" in line] == ["100"]
    kinds = [entry.kind for entry in services.adapters.plans.last_entries("acme", 2)]
    assert kinds == ["budget.allowed", "budget.allowed"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say what is allowed"),
        (("--day-usd", "1", "--plan-usd", "1"), "say what is allowed"),
        (("--plan-usd", "1"), "--plan-usd and --plan-tokens are for --plan ID"),
        (("--day-usd", "1", "--plan", f"pl_{'0' * 31}1"), "--plan-usd and --plan-tokens are for --plan ID"),
        (("--day-usd", "much"), "it must be an amount like 2.50"),
        (("--day-usd", "-1"), "it must be above 0"),
        (("--day-usd", "0.0000000001"), "at most nine decimals"),
        (("--day-usd", "nan"), "it must be above 0"),
        (("--day-tokens", "5"), "limits no tokens a day"),
    ],
)
def test_what_cannot_be_allowed(run: Run, services: FakeServices, arguments: tuple[str, ...], says: str) -> None:
    budget(services, day=usd("1"))
    ran = run("budget", "allow", "-t", "acme", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_allow_to_a_plan_that_is_not_there(run: Run, services: FakeServices) -> None:
    budget(services, plan=usd("1"))
    assert run("budget", "allow", "-t", "acme", "--plan", f"pl_{'0' * 32}", "--plan-usd", "1").code == 3


def dry(run: Run, count: int) -> str:
    ran = run("plan", "submit", "echoes", "-t", "acme", "--set", rows(count), "--dry-run")
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[-1].startswith(("nothing was stored", "no budget limits"))
    assert run("plan", "list", "-t", "acme", *JSON).json == []
    return ran.out


def test_dry_run(run: Run, services: FakeServices) -> None:
    assert "3 tasks would set aside $0.00" in dry(run, 3)
    budget(services, day=usd("1"))
    out = dry(run, 3)
    assert "3 tasks would set aside $0.15 and 300 tokens, and with all of their attempts at most $0.15" in out
    assert "left today: $1.00; a plan may use whatever it needs" in out
    assert "all of them fit" in out


def test_dry_run_says_which_would_not_fit(run: Run, services: FakeServices) -> None:
    budget(services, day=usd("0.10"))
    assert "tasks 2 to 4 (echo) would not fit under budget.day: denied" in dry(run, 5)
    budget(services, AtLimit.HITL, plan=usd("0.12"))
    assert "task 2 (echo) would not fit under budget.plan: left until a person allows more" in dry(run, 3)
    budget(services, AtLimit.DEGRADE, day=usd("0.07"))
    out = dry(run, 4)
    assert "tasks 1 to 2 (echo) would not fit under budget.day: run by cheap" in out
    assert "task 3 (echo) would not fit under budget.day: denied" in out
    ran = run("plan", "submit", "echoes", "-t", "acme", "--set", rows(4), "--dry-run", *JSON).json
    assert (ran["fits"], ran["first_attempts"]) == (False, {"cost_usd": "0.20", "tokens": 400})
    assert ran["would_not_fit"][0] == {
        "first": 1, "last": 2, "skill": "echo", "limit": "budget.day", "becomes": "degrade", "degrades_to": "cheap",
    }  # fmt: skip


def test_a_dry_run_of_what_cannot_be_planned(run: Run) -> None:
    ran = run("plan", "submit", "broken", "-t", "acme", "--dry-run")
    assert ran.code == 2
    assert "planner_raised: RuntimeError: no steps today" in ran.err
    assert run("plan", "submit", "nobody", "-t", "acme", "--dry-run").code == 2
    assert run("plan", "submit", "echoes", "-t", "acme", "--set", rows(1), "--dry-run", "--watch").code == 2
