"""A plan of async skills that only wait, as calls of a model do: n tasks of so many seconds, on so many agents.

Prints one JSON document; `at_once` is the tasks' seconds together over the seconds that the plan took.
"""

import argparse
import json
from time import perf_counter, sleep
from typing import Any

from benchmarks import stack


def measure(n: int, seconds: float, agents: int) -> dict[str, Any]:
    """From submit until every task is committed."""
    with stack.servers():
        from chimera import Chimera, PlanState
        from chimera.bootstrap import load_user_code, services

        load_user_code()
        chimera = Chimera()

        def run(count: int, each: float) -> float:
            started = perf_counter()
            inputs = {"count": count, "seconds": each}
            plan = chimera.submit("bench.waits", tenant="bench", inputs=inputs).wait(timeout=600)
            if plan.state is not PlanState.COMPLETED:
                raise RuntimeError(f"the plan ended {plan.state}")
            return perf_counter() - started

        with stack.processes(stack.chimera_processes(workers=agents)):
            while services().adapters.agents.workforce().slots("bench") < agents:
                sleep(0.05)
            run(agents, 0.0)
            took = run(n, seconds)
    return {
        "n": n,
        "seconds": seconds,
        "agents": agents,
        "took_s": round(took, 2),
        "at_once": round(n * seconds / took),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=40, help="tasks (default: 40)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds that each waits (default: 1)")
    parser.add_argument("--agents", type=int, default=4, help="slots of the worker (default: 4)")
    given = parser.parse_args()
    print(json.dumps(measure(given.n, given.seconds, given.agents)))
