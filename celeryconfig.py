"""The project's Celery settings, over those that Chimera needs (chimera/adapters/celery/app.py).

User code is named here: `imports` lists the modules that declare skills and planners. Every process reads
this file: workers, judges, beat, Flower and the `chimera` command. So it imports no user code: that is for those
workers alone that run it.
"""

import os

imports = ["examples.tickets.tasks", "examples.quickstart"]

# A plan that starts by the clock: task `chimera.submit`, with the fields of a PlanRequest as its arguments.
# The sample does so only when TICKETS_EVERY_SECONDS says how often.
if _seconds := os.environ.get("TICKETS_EVERY_SECONDS"):
    beat_schedule = {
        "tickets": {
            "task": "chimera.submit",
            "schedule": float(_seconds),
            "kwargs": {
                "tenant_id": "acme",
                "planner": "tickets",
                "goal": "Triage what came in",
                "inputs": {"rows": [{"text": "My parcel was due on Monday and is still not here."}]},
            },
        },
    }
