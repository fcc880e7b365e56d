"""chimera.work: runs a batch, as one header of a wave's chord."""

from uuid import UUID

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.models.work.wave import WaveRef
from chimera.tasks.base import ChimeraTask, about, app


@app.task(name=messages.WORK.task, base=ChimeraTask)
def work(tenant_id: str, plan_id: str, wave_no: int, task_ids: list[str], timeout_seconds: float) -> int:
    """Claims, runs and stages a batch; returns how many results it staged."""
    with about(tenant_id, UUID(plan_id), wave_no=wave_no):
        wave = WaveRef(tenant_id=tenant_id, plan_id=UUID(plan_id), wave_no=wave_no)
        return services().working.worker.run_batch(wave, [UUID(task_id) for task_id in task_ids], timeout_seconds)
