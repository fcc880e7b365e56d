"""chimera.plan: runs a plan's planner. chimera.replan: asks it about tasks that the gate sent back."""

from uuid import UUID

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.models.work.wave import WaveRef
from chimera.settings import settings
from chimera.tasks.base import ChimeraTask, about, app

# For a planner that does not listen to its own timeout.
_KILL_AFTER_SECONDS = 90
_TIME_LIMIT = int(settings().planner_timeout_seconds) + _KILL_AFTER_SECONDS


@app.task(name=messages.PLAN.task, base=ChimeraTask, time_limit=_TIME_LIMIT)
def plan(tenant_id: str, plan_id: str) -> None:
    """Plans a plan and sends its first waves."""
    with about(tenant_id, UUID(plan_id)):
        services().working.planner.plan(tenant_id, UUID(plan_id))


@app.task(name=messages.REPLAN.task, base=ChimeraTask, time_limit=_TIME_LIMIT)
def replan(tenant_id: str, plan_id: str, wave_no: int) -> int:
    """Asks a plan's planner about tasks of a wave; returns about how many."""
    with about(tenant_id, UUID(plan_id), wave_no=wave_no):
        return services().working.replanner.replan_wave(
            WaveRef(tenant_id=tenant_id, plan_id=UUID(plan_id), wave_no=wave_no)
        )
