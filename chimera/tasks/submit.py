"""chimera.submit: how beat starts a plan."""

from typing import Any

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.models.work.plan import PlanRequest
from chimera.tasks.base import ChimeraTask, app


@app.task(name=messages.SUBMIT.task, base=ChimeraTask, bind=True)
def submit(self: ChimeraTask, /, **request: Any) -> str:
    """Submits a plan; keyword arguments are the fields of PlanRequest.

    The message's own id is the idempotency key and the trace id where none are given: delivered twice, it
    is one plan.
    """
    defaults = {"idempotency_key": f"beat-{self.request.id}", "trace_id": self.request.id}
    return services().submitting.orchestrator.submit(PlanRequest.model_validate(defaults | request)).plan_id.hex
