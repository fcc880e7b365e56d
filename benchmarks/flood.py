"""A quiet tenant's latency while another one floods the Judge: 2 plans of 12 tasks, 1 MB of nearly card numbers each.

Plans of one task, one after the other, from submit to committed: first alone, then while the flood lasts, which is sent
again until there are as many. All in one run, on the same servers. Prints one JSON document, in milliseconds.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks import stack

WARM_UP = 20
LOUD = "loud"
PLANS, TASKS = 2, 12


def measure(n: int, judges: int) -> dict[str, Any]:
    """The quiet tenant's latency, alone and beside the flood."""
    with stack.servers():
        from chimera import Chimera, PlanState
        from chimera.bootstrap import load_user_code, services
        from chimera.client.plan import SETTLED

        load_user_code()
        services().adapters.tenants.add(LOUD, actor="bench")
        chimera = Chimera()

        def quiet() -> float:
            began = perf_counter()
            plan = chimera.submit("bench.noops", tenant="bench", inputs={"count": 1}).wait(timeout=120)
            if plan.state is not PlanState.COMPLETED:
                raise RuntimeError(f"the plan ended {plan.state}")
            return 1000 * (perf_counter() - began)

        with stack.processes(stack.chimera_processes(judges=judges)):
            alone = [quiet() for _ in range(WARM_UP + n)][WARM_UP:]
            beside: list[float] = []
            floods, took = 0, 0.0
            while len(beside) < n:
                began = perf_counter()
                loud = [chimera.submit("bench.flood", tenant=LOUD, inputs={"count": TASKS}) for _ in range(PLANS)]
                beside += _until(quiet, lambda: all(plan.status in SETTLED for plan in loud))  # noqa: B023
                took += perf_counter() - began
                floods += 1
            again = [quiet() for _ in range(n)]
    figures = {"alone_ms": _summary(alone), "beside_ms": _summary(beside), "after_ms": _summary(again)}
    ratio = figures["beside_ms"]["p95"] / figures["alone_ms"]["p95"]
    return {"n": n, "measured_beside": len(beside), "flood_seconds": round(took / floods, 2), **figures, "ratio": ratio}


def _until(call: Callable[[], float], is_over: Callable[[], bool]) -> list[float]:
    found = [call()]
    while not is_over():
        found.append(call())
    return found


def _summary(milliseconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "max": round(max(milliseconds), 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="plans of the quiet tenant, in each half (default: 100)")
    parser.add_argument("--judges", type=int, default=2, help="processes of the Judge (default: 2)")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.n, arguments.judges)))
