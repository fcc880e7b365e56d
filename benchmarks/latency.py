"""From submit to committed for plans of one task, one after the other on an idle system.

Beside it, in the same run and on the same servers, the bare minimum that Celery needs for the same three hops:
a chain of three no-op tasks. Prints one JSON document, in milliseconds.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks import stack

WARM_UP = 10


def measure(n: int) -> dict[str, Any]:
    """Both, n times each."""
    with stack.servers() as variables:
        from chimera import Chimera, PlanState
        from chimera.bootstrap import load_user_code

        load_user_code()
        chimera = Chimera()

        def one_plan() -> None:
            plan = chimera.submit("bench.noops", tenant="bench", inputs={"count": 1}).wait(timeout=30)
            if plan.state is not PlanState.COMPLETED:
                raise RuntimeError(f"the plan ended {plan.state}")

        with stack.processes(stack.chimera_processes()):
            plans = [_seconds(one_plan) for _ in range(WARM_UP + n)][WARM_UP:]
        url = variables["CHIMERA_REDIS_URL"].removesuffix("/0") + "/1"
        os.environ["PLAIN_REDIS_URL"] = url
        from benchmarks.plain import noop

        def one_chain() -> None:
            (noop.si(1) | noop.si(2) | noop.si(3)).apply_async().get(timeout=30, interval=0.005)

        commands = {"plain": "celery -A benchmarks.plain worker -c 2 --without-mingle --without-gossip"}
        with stack.processes(commands, PLAIN_REDIS_URL=url):
            chains = [_seconds(one_chain) for _ in range(WARM_UP + n)][WARM_UP:]
    return {"n": n, "chimera_ms": _summary(plans), "celery_chain_of_3_ms": _summary(chains)}


def _seconds(call: Callable[[], None]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started


def _summary(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(1000 * cuts[49], 1), "p95": round(1000 * cuts[94], 1), "max": round(1000 * max(seconds), 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="plans (default: 100)")
    print(json.dumps(measure(parser.parse_args().n)))
