"""chimera.checkpoint: sent by beat where CHIMERA_CHECKPOINTS names a place."""

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.errors import AuditUnavailable
from chimera.tasks.base import ChimeraTask, app


@app.task(name=messages.CHECKPOINT.task, base=ChimeraTask, autoretry_for=(), throws=(AuditUnavailable,))
def checkpoint() -> int:
    """Signs a checkpoint for each tenant that needs one; returns how many."""
    return services().auditing.checkpointer.run()
