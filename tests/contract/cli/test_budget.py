"""`chimera budget show` of all tenants."""

from decimal import Decimal

from chimera.bootstrap import Services
from chimera.models.gate.policy import Amount, Budget, Policy
from tests.unit.cli.conftest import Run


def test_show_without_a_budget(run: Run) -> None:
    assert run("budget", "show").err == "no budget limits any tenant, and nothing was set aside\n"


def test_show(run: Run, services: Services) -> None:
    policy = Policy(budget=Budget(day=Amount(cost_usd=Decimal(1))))
    services.adapters.policy_changes.apply("acme", policy, "cfo")
    services.adapters.tenants.add("globex", "tests")
    found = run("budget", "show", "-o", "json").json
    assert [(each["tenant_id"], each["day"]["limit"]["cost_usd"] is None) for each in found] == [
        ("acme", False),
        ("globex", True),
    ]
