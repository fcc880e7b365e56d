"""chimera.plan: runs a plan's planner."""

from uuid import UUID

from structlog.contextvars import bound_contextvars

from chimera.bootstrap import services
from chimera.settings import settings
from chimera.tasks.base import ChimeraTask, app

# For a planner that does not listen to its own timeout.
_KILL_AFTER_SECONDS = 90


@app.task(
    name="chimera.plan", base=ChimeraTask, time_limit=int(settings().planner_timeout_seconds) + _KILL_AFTER_SECONDS
)
def plan(tenant_id: str, plan_id: str) -> None:
    """Plans a plan and sends its first waves."""
    with bound_contextvars(tenant_id=tenant_id, plan_id=plan_id):
        services().planner.plan(tenant_id, UUID(plan_id))
