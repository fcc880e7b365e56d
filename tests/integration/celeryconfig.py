"""The Celery settings of the workers under test."""

import os

import tests.integration.announced  # noqa: F401  of every process: Judges and beat import nothing that `imports` names

imports = ["tests.integration.skills", "examples.quickstart"]

if _pool := os.environ.get("TEST_WORKER_POOL"):
    worker_pool = _pool

if _tenant := os.environ.get("TEST_BEAT_TENANT"):
    beat_schedule = {
        "every-second": {
            "task": "chimera.submit",
            "schedule": 1.0,
            "kwargs": {"tenant_id": _tenant, "planner": "test.numbers", "inputs": {"count": 2}},
        },
    }
