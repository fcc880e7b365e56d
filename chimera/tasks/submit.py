"""chimera.submit: how beat starts a plan."""

from typing import Any

import structlog

from chimera.adapters.celery import messages
from chimera.bootstrap import services
from chimera.errors import Conflict
from chimera.models.work.plan import PlanRequest
from chimera.tasks.base import ChimeraTask, about, app

log = structlog.get_logger(__name__)


@app.task(name=messages.SUBMIT.task, base=ChimeraTask, bind=True, throws=(Conflict,))
def submit(self: ChimeraTask, /, **request: Any) -> str:
    """Submits a plan; keyword arguments are the fields of PlanRequest.

    The message's own id is the idempotency key and the trace id where none are given: delivered twice, it
    is one plan. What contradicts what is recorded, as a stopped session, is refused with a log line.
    """
    defaults = {"idempotency_key": f"beat-{self.request.id}", "trace_id": self.request.id}
    asked = PlanRequest.model_validate(defaults | request)
    try:
        submitted = services().submitting.orchestrator.submit(asked)
    except Conflict as exc:
        ids = {"tenant_id": asked.tenant_id, "session_id": asked.session_id, "trace_id": asked.trace_id}
        log.warning("plan_refused", **ids, reason=type(exc).__name__)
        raise
    with about(asked.tenant_id, submitted.plan_id):
        log.info("plan_submitted", planner=asked.planner, created=submitted.created, trace_id=asked.trace_id)
    return submitted.plan_id.hex
