"""Submitting a plan."""

import structlog

from chimera.errors import InvalidInput, QueueUnavailable, StoreUnavailable
from chimera.failpoints import Failpoint, failpoint
from chimera.models.record import canonical_json
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.plan import PlanRequest
from chimera.ports.clock import Clock
from chimera.ports.plan_store import PlanStore, Submitted
from chimera.ports.queue import Queue
from chimera.services.log_ids import plan_ids

log = structlog.get_logger(__name__)


class Orchestrator:
    """Takes plans in. What it answers is in the store; messages only make it quick."""

    def __init__(
        self, store: PlanStore, queue: Queue, catalogue: Catalogue, clock: Clock, *, max_inputs_bytes: int
    ) -> None:
        self._store = store
        self._queue = queue
        self._catalogue = catalogue
        self._clock = clock
        self._max_inputs_bytes = max_inputs_bytes

    def submit(self, request: PlanRequest) -> Submitted:
        """Stores a plan and asks for its planner to run.

        The same idempotency key with the same request returns the first plan. Where the broker does not
        answer the plan is stored all the same, and the sweep has it planned later. In a paused session it waits.

        Raises:
            UnknownPlanner: no such planner is registered in this process.
            InvalidInput: the inputs do not fit the planner, are no JSON, or are over the limit.
            UnknownTenant: there is no such tenant.
            IdempotencyConflict: the key was used with another request.
            SessionStopped: its session takes no plan any more.
            DeadlinePassed: its deadline is not in the future.
            StoreUnavailable: PostgreSQL does not answer; nothing is stored.
        """
        self._check(request)
        submitted = self._store.submit(self._clock.new_id(), request)
        if submitted.created and not submitted.paused:
            failpoint(Failpoint.SUBMIT_STORED, request.tenant_id)
            try:
                epoch = self._queue.epoch()
                self._queue.publish_plan(request.tenant_id, submitted.plan_id)
                failpoint(Failpoint.SUBMIT_PUBLISHED, request.tenant_id)
                self._store.mark_published(request.tenant_id, submitted.plan_id, epoch)
            except (QueueUnavailable, StoreUnavailable):
                # The plan is stored: the sweep publishes it, or publishes it again.
                ids = plan_ids(request.tenant_id, submitted.plan_id, request.trace_id)
                log.warning("plan_not_published", **ids)
        return submitted

    def check(self, request: PlanRequest) -> None:
        """Raises what `submit` would, and stores nothing."""
        self._check(request)
        self._store.check(request)

    def _check(self, request: PlanRequest) -> None:
        try:
            size = len(canonical_json(request.inputs))
            request.sha256()
        except (TypeError, ValueError) as exc:
            raise InvalidInput(f"inputs: not JSON: {exc}") from exc
        except RecursionError as exc:
            raise InvalidInput("inputs: nested too deep") from exc
        if size > self._max_inputs_bytes:
            raise InvalidInput(
                f"inputs: {size} bytes of JSON, and at most {self._max_inputs_bytes} are taken "
                "(CHIMERA_MAX_INPUTS_BYTES); split the plan"
            )
        self._catalogue.planner(request.planner).check_inputs(request.inputs)
