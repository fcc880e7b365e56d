"""The tickets example on a file of real messages, from submit until each has its decision.

`--input FILE` (CSV with `text` and perhaps `category`) is what is run, `--training FILE` what the model is
fitted on. Prints one JSON document; where the input has labels, with how right the committed ones were.
"""

import argparse
import csv
import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import stack


def measure(messages: Path, training: Path) -> dict[str, Any]:
    """One plan over all messages; that the workers fit their model first counts."""
    os.environ["TICKETS_TRAINING"] = str(training.resolve())
    with messages.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with stack.servers(config="celeryconfig"):
        from chimera import Chimera
        from chimera.bootstrap import load_user_code

        load_user_code()
        chimera = Chimera()
        with stack.processes(stack.chimera_processes()):
            started = perf_counter()
            handle = chimera.submit("tickets", tenant="bench", inputs={"rows": rows})
            plan = handle.wait(timeout=600)
            elapsed = perf_counter() - started
        results = list(handle.results())
    answer = {"messages": len(rows), "elapsed_seconds": round(elapsed, 2), "state": plan.state.value}
    answer |= {"committed": plan.counts.committed, "in_review": plan.counts.in_review, "failed": plan.counts.failed}
    for name, wanted in (("committed", True), ("in_review", False)):
        right = [r.output["category"] == r.label["category"] for r in results if r.label and r.committed is wanted]
        if right:
            answer[f"{name}_accuracy"] = round(sum(right) / len(right), 4)
    return answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    sample = stack.ROOT / "examples" / "tickets"
    parser.add_argument("--input", type=Path, default=sample / "sample.csv", help="messages to run")
    parser.add_argument("--training", type=Path, default=sample / "training.csv", help="labelled messages to fit on")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.input, arguments.training)))
