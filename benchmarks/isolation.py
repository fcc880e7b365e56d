"""The same plans at the levels of isolation trusted and host, in turn on the same servers: no-ops, and tasks of 20 ms.

Batches hold 50 tasks. Prints one JSON document; `ratio` is the tasks per second of level host over those of trusted,
each the median of its plans.
"""

import argparse
import json
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import stack

LEVELS = ("trusted", "host")
WARM_UP = 200


def tasks_per_second(level: str, planner: str, n: int, rounds: int) -> list[float]:
    """From submit until every task is committed."""
    from chimera import Chimera, PlanState

    chimera = Chimera()

    def run(tasks: int) -> float:
        started = perf_counter()
        plan = chimera.submit(planner, tenant="bench", inputs={"count": tasks}).wait(timeout=600)
        if plan.state is not PlanState.COMPLETED or plan.counts.committed != tasks:
            raise RuntimeError(f"the plan ended {plan.state}: {plan.counts}")
        return tasks / (perf_counter() - started)

    with stack.processes(stack.chimera_processes(), CHIMERA_ISOLATION=level):
        run(WARM_UP)
        return [run(n) for _ in range(rounds)]


def measure(noops: int, sleeps: int, turns: int, rounds: int) -> dict[str, Any]:
    """Both levels, in turn."""
    from chimera.bootstrap import load_user_code

    plans = {"bench.noops50": noops, "bench.sleeps": sleeps}
    taken: dict[tuple[str, str], list[float]] = {}
    with stack.servers():
        load_user_code()
        for planner, count in plans.items():
            for _ in range(turns):
                for level in LEVELS:
                    taken.setdefault((planner, level), []).extend(tasks_per_second(level, planner, count, rounds))
    figures: dict[str, Any] = {}
    for planner in plans:
        trusted, host = (median(taken[planner, level]) for level in LEVELS)
        each = {"trusted": round(trusted, 1), "host": round(host, 1), "ratio": round(host / trusted, 2)}
        figures[planner.removeprefix("bench.")] = each
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noops", type=int, default=5_000, help="no-ops in a plan (default: 5000)")
    parser.add_argument("--sleeps", type=int, default=1_000, help="tasks of 20 ms in a plan (default: 1000)")
    parser.add_argument("--turns", type=int, default=2, help="turns of both levels (default: 2)")
    parser.add_argument("--rounds", type=int, default=2, help="plans of a turn, one after the other (default: 2)")
    given = parser.parse_args()
    print(json.dumps(measure(given.noops, given.sleeps, given.turns, given.rounds)))
