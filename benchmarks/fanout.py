"""A chord of n no-op tasks on plain Celery, and the same n as a Chimera plan: gated, audited, committed.

Both run one after the other on the same servers. Prints one JSON document; `ratio` is Chimera's tasks per
second over the chord's.
"""

import argparse
import json
import uuid
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import stack

WARM_UP = 500


def chord_seconds(n: int, redis_url: str) -> float:
    """From the call that asks a worker for the chord until its body's result is there."""
    # A database of its own, so that neither side meets what the other left.
    url = redis_url.removesuffix("/0") + "/1"
    commands = {"plain": "celery -A benchmarks.plain worker -c 2 --without-mingle --without-gossip"}
    with stack.processes(commands, PLAIN_REDIS_URL=url):
        import os

        os.environ["PLAIN_REDIS_URL"] = url
        from benchmarks.plain import app

        def run(tasks: int) -> float:
            body_id = str(uuid.uuid4())
            started = perf_counter()
            app.send_task("plain.fan_out", (tasks, body_id), ignore_result=True)
            counted = app.AsyncResult(body_id).get(timeout=600, interval=0.02)
            elapsed = perf_counter() - started
            if counted != tasks:
                raise RuntimeError(f"the chord counted {counted} of {tasks}")
            return elapsed

        run(WARM_UP)
        return run(n)


def chimera_seconds(n: int, rounds: int, size: int) -> tuple[float, float]:
    """From submit until every task is committed, the median; and the most memory a Judge process held, in MB.

    By the plan's own times: who waits for it looks again after pauses. `size` is of each output, in characters; 0 is
    a number.
    """
    from chimera import Chimera, PlanState
    from chimera.bootstrap import load_user_code

    load_user_code()
    chimera = Chimera()

    def run(tasks: int) -> float:
        planner, inputs = ("bench.texts", {"count": tasks, "size": size}) if size else ("bench.noops", {"count": tasks})
        plan = chimera.submit(planner, tenant="bench", inputs=inputs).wait(timeout=600)
        if plan.state is not PlanState.COMPLETED or plan.counts.committed != tasks or plan.finished_at is None:
            raise RuntimeError(f"the plan ended {plan.state}: {plan.counts}")
        return (plan.finished_at - plan.submitted_at).total_seconds()

    with stack.processes(stack.chimera_processes()) as running:
        run(WARM_UP)
        elapsed = median(run(n) for _ in range(rounds))
        return elapsed, stack.peak_rss_mb(running.pids()["judge"])


def measure(n: int, rounds: int, size: int) -> dict[str, Any]:
    """Both, on one pair of servers."""
    with stack.servers() as variables:
        chord = chord_seconds(n, variables["CHIMERA_REDIS_URL"])
        chimera, judge_peak = chimera_seconds(n, rounds, size)
    return {
        "n": n,
        "chord_tasks_per_second": round(n / chord, 1),
        "chimera_tasks_per_second": round(n / chimera, 1),
        "ratio": round(chord / chimera, 2),
        "judge_peak_rss_mb": round(judge_peak, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="tasks (default: 10000)")
    parser.add_argument("--rounds", type=int, default=1, help="plans, one after the other (default: 1)")
    parser.add_argument("--size", type=int, default=0, help="characters of each output (default: a number)")
    given = parser.parse_args()
    print(json.dumps(measure(given.n, given.rounds, given.size)))
