"""The project's Celery settings, over those that Chimera needs (chimera/adapters/celery/app.py).

This file is where user code is named: `imports` lists the modules that declare skills and planners. Every
process reads it: workers, judges, beat, Flower and the `chimera` command.
"""

imports = ["examples.tickets.tasks"]

# Plans that start by the clock: any planner, with the fields of a PlanRequest as keyword arguments.
# from celery.schedules import crontab
# beat_schedule = {
#     "tickets-every-morning": {
#         "task": "chimera.submit",
#         "schedule": crontab(hour=7, minute=0),
#         "kwargs": {"tenant_id": "acme", "planner": "tickets", "inputs": {"rows": [...]}},
#     },
# }
