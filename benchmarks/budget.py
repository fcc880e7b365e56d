"""The same plan for a tenant without a budget and for one with, in turn, on the same servers and processes.

The budget is wide enough for all of it: what is measured is setting aside and settling. Prints one JSON document.
"""

import argparse
import json
from decimal import Decimal
from time import perf_counter
from typing import Any

from benchmarks import stack

TENANTS = ("without", "with")


def measure(n: int, rounds: int) -> dict[str, Any]:
    with stack.servers(), stack.processes(stack.chimera_processes()):
        from chimera import Chimera, PlanState
        from chimera.bootstrap import load_user_code, services
        from chimera.models.gate.policy import Amount, Budget, Policy, SkillPolicy

        load_user_code()
        chimera = Chimera()
        for tenant in TENANTS:
            services().adapters.tenants.add(tenant, actor="bench")
        reserve = SkillPolicy(reserve=Amount(cost_usd=Decimal("0.001"), tokens=10))
        wide = Budget(day=Amount(cost_usd=Decimal(1_000_000)), plan=Amount(tokens=10**12), task=Amount(tokens=100))
        services().adapters.policy_changes.apply("without", Policy(defaults=reserve), "bench")
        services().adapters.policy_changes.apply("with", Policy(defaults=reserve, budget=wide), "bench")

        def run(tenant: str, tasks: int) -> float:
            started = perf_counter()
            plan = chimera.submit("bench.noops", tenant=tenant, inputs={"count": tasks}).wait(timeout=600)
            elapsed = perf_counter() - started
            if plan.state is not PlanState.COMPLETED or plan.counts.committed != tasks:
                raise RuntimeError(f"the plan ended {plan.state}: {plan.counts}")
            return elapsed

        for tenant in TENANTS:
            run(tenant, 500)
        took: dict[str, list[float]] = {tenant: [] for tenant in TENANTS}
        for _ in range(rounds):
            for tenant in TENANTS:
                took[tenant].append(run(tenant, n))
    return {
        "n": n,
        "tasks_per_second_without": [round(n / seconds) for seconds in took["without"]],
        "tasks_per_second_with": [round(n / seconds) for seconds in took["with"]],
        "ratio": round(sum(took["without"]) / sum(took["with"]), 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="tasks (default: 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="plans of each (default: 3)")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.n, arguments.rounds)))
