"""The README's quickstart is the example, short, and does what the README says."""

import os
import subprocess
import sys
from pathlib import Path

from pytest_celery import CeleryWorkerCluster

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart.py"


def test_the_readme_shows_the_example() -> None:
    code = QUICKSTART.read_text(encoding="utf-8")

    assert f"```python\n{code}```" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 25


def test_the_quickstart_runs(
    celery_worker_cluster: CeleryWorkerCluster, project: dict[str, str], swarm_owner: Database
) -> None:
    TenantStore(swarm_owner).add("acme", "tests")

    done = subprocess.run(
        [sys.executable, "-m", "examples.quickstart"],
        cwd=ROOT, env={**os.environ, **project}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    *events, end, reviews = done.stdout.splitlines()
    assert [event.split()[0] for event in events] == [
        "plan.submitted", "plan.planned", "task.decided", "task.decided", "task.decided", "review.opened",
        "plan.in_review",
    ]  # fmt: skip
    assert end == "in_review ['Hello Ada!', 'Hello Grace!']"
    assert reviews == "['confidence.below 0.40 < 0.7']"
