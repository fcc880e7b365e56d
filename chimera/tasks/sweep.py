"""chimera.sweep: sent by beat every second."""

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.tasks.base import ChimeraTask, app


@app.task(name=messages.SWEEP.task, base=ChimeraTask, autoretry_for=())
def sweep() -> int:
    """Does what lost messages left undone; returns how many it sent."""
    return services().judging.sweep.run()
