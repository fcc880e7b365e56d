"""What the Judge is asked for: to gate a wave (as the body of its chord), to send waves, to close a stopping plan."""

from uuid import UUID

from structlog.contextvars import bound_contextvars

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.errors import AuditUnavailable
from chimera.models.work.wave import WaveRef
from chimera.tasks.base import ChimeraTask, about, app


# While the audit cannot be sealed results stay staged, and the sweep has the wave judged later.
@app.task(name=messages.JUDGE.task, base=ChimeraTask, throws=(AuditUnavailable,))
def judge(tenant_id: str, plan_id: str, wave_no: int) -> int:
    """Gates what the wave has staged; returns how many results it decided on."""
    with about(tenant_id, UUID(plan_id), wave_no=wave_no):
        return services().judging.judge.judge_wave(WaveRef(tenant_id=tenant_id, plan_id=UUID(plan_id), wave_no=wave_no))


@app.task(name=messages.DISPATCH.task, base=ChimeraTask)
def dispatch(tenant_id: str) -> int:
    """Sends the tenant's next waves; returns how many it sent."""
    with bound_contextvars(tenant_id=tenant_id):
        return services().judging.dispatcher.dispatch(tenant_id)


@app.task(name=messages.STOP.task, base=ChimeraTask, throws=(AuditUnavailable,))
def stop(tenant_id: str, plan_id: str) -> None:
    """Ends the open tasks and cards of a plan that stops."""
    with about(tenant_id, UUID(plan_id)):
        services().judging.judge.stop_plan(tenant_id, UUID(plan_id))
