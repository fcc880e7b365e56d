"""The Celery tasks: ids in, ids out; each hands over to a service. See docs/architecture.md for their queues."""

from chimera.tasks import judge, plan, submit, sweep, work

__all__ = ["judge", "plan", "submit", "sweep", "work"]
