"""The way in: submit plans, find what was submitted, and change a session's plans at once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from chimera.bootstrap import Services, services
from chimera.client.plan import PlanHandle
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, parse_id
from chimera.models.work.history import TaskHistory
from chimera.models.work.plan import PlanChange, PlanRequest
from chimera.models.work.planner import Planner
from chimera.models.work.retry import kinds_of
from chimera.models.work.session import Session, SessionChange
from chimera.models.work.signature import describe
from chimera.models.work.state import StateEntry


class Chimera:
    """The way in. Connects at the first call, with the settings of the environment (CHIMERA_...)."""

    def __init__(self, services_: Services | None = None) -> None:
        self._services = services_ or services()

    def submit(
        self,
        planner: Planner[...] | str,
        *,
        tenant: str,
        goal: str = "",
        inputs: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        deadline: datetime | None = None,
        priority: int = 50,
        idempotency_key: str | None = None,
        trace_id: str | None = None,
    ) -> PlanHandle:
        """Submits a plan and returns at once.

        Args:
            planner: a planner, or its name. Where this process does not know the name yet, it imports the modules that
                `imports` of celeryconfig.py names, as the workers do; what such a module raises then is raised here.
            tenant: whom the plan is for.
            goal: in words, for the planner and for people.
            inputs: the planner's arguments, as JSON-compatible values.
            session_id: groups plans; in a paused session the plan waits until that is resumed.
            deadline: aware; what is not done by then is ended as expired.
            priority: 0-100; of one tenant's waiting waves those of higher priority go first.
            idempotency_key: the same key with the same request returns the first plan.
            trace_id: carried into every log line; a new one where none is given.

        Raises:
            InvalidInput: something of the request is not valid; nothing is stored.
            UnknownPlanner: neither this process nor a module that celeryconfig.py imports has such a planner.
            UnknownTenant: there is no such tenant.
            IdempotencyConflict: the key was used with another request.
            SessionStopped: the session takes no plan any more.
            DeadlinePassed: the deadline is not in the future.
            StoreUnavailable: PostgreSQL does not answer.
        """
        request = plan_request(
            tenant_id=tenant,
            session_id=session_id,
            planner=planner.name if isinstance(planner, Planner) else planner,
            goal=goal,
            inputs=dict(inputs or {}),
            deadline=deadline,
            priority=priority,
            idempotency_key=idempotency_key,
            trace_id=trace_id or uuid4().hex,
        )
        self._services.find_planner(request.planner)
        submitted = self._services.submitting.orchestrator.submit(request)
        return PlanHandle(self._services, tenant, submitted.plan_id, created=submitted.created)

    def plan(self, tenant: str, plan_id: str) -> PlanHandle:
        """The handle of a plan submitted earlier.

        Raises:
            InvalidInput: that is no plan id.
            PlanNotFound: the tenant has no such plan.
        """
        handle = PlanHandle(self._services, tenant, parse_id(IdKind.PLAN, plan_id))
        _ = handle.plan
        return handle

    def task(self, tenant: str, task_id: str) -> TaskHistory:
        """A task with all that was done with it; its `timeline()` is that in order of time.

        Raises:
            InvalidInput: that is no task id.
            TaskNotFound: the tenant has no such task.
        """
        return self._services.adapters.tasks.history(tenant, parse_id(IdKind.TASK, task_id))

    def retry_task(
        self, tenant: str, task_id: str, *, deadline: datetime | None = None, actor: str = "app"
    ) -> PlanHandle:
        """Makes a new plan of one task that did not come to a good end, and returns it; once for each task.

        Raises:
            InvalidInput, TaskNotFound: as `task`.
            Conflict: the task, or another of its plan, has not ended.
            NothingToRetry: its result is committed, or it depends on what was not approved.
        """
        retried = self._services.submitting.control.retry_task(self.task(tenant, task_id), actor, deadline)
        return PlanHandle(self._services, tenant, retried.plan_id, created=retried.created)

    def state(self, tenant: str, key: str) -> StateEntry:
        """An entry of shared state as it is now, with the commit that made it so.

        Raises:
            StateNotFound: the tenant has no such entry.
        """
        return self._services.adapters.states.get(tenant, key)

    # Sessions: their plans, and those that are submitted to them later.

    def session(self, tenant: str, session_id: str) -> Session:
        """A session as it stands.

        Raises:
            SessionNotFound: no plan of the tenant has named it.
        """
        return self._services.adapters.sessions.get(tenant, session_id)

    def pause_session(self, *, tenant: str, session_id: str, actor: str = "app") -> SessionChange:
        """Pauses the session's open plans; one that is submitted to it waits until it is resumed.

        Raises:
            SessionNotFound: no plan of the tenant has named it.
            SessionStopped: it was stopped.
        """
        return self._services.submitting.sessions.pause(tenant, session_id, actor)

    def resume_session(self, *, tenant: str, session_id: str, actor: str = "app") -> SessionChange:
        """Lets the session's plans go on, and those start that are submitted to it. Raises as `pause_session`."""
        return self._services.submitting.sessions.resume(tenant, session_id, actor)

    def stop_session(self, *, tenant: str, session_id: str, actor: str = "app") -> SessionChange:
        """Cancels the session's open plans, and has it take none any more, for good.

        Raises:
            SessionNotFound: no plan of the tenant has named it.
        """
        return self._services.submitting.sessions.stop(tenant, session_id, actor)

    # A session's plans as they are now, and no change of the session: further ones start. No default: all of
    # a tenant's are meant only where None is given.

    def cancel(self, *, tenant: str, session_id: str | None, actor: str = "app") -> list[PlanChange]:
        """Stops every open plan of a session, or with None of the tenant; returns those."""
        return self._services.submitting.control.cancel_open(tenant, session_id, actor)

    def pause(self, *, tenant: str, session_id: str | None, actor: str = "app") -> list[PlanChange]:
        """Pauses every open plan of a session, or with None of the tenant; returns those that were not paused."""
        return self._services.submitting.control.pause_open(tenant, session_id, actor)

    def resume(self, *, tenant: str, session_id: str | None, actor: str = "app") -> list[PlanChange]:
        """Resumes every paused plan of a session, or with None of the tenant; returns those."""
        return self._services.submitting.control.resume_open(tenant, session_id, actor)

    def retry(
        self,
        *,
        tenant: str,
        session_id: str | None,
        failed: bool = False,
        denied: bool = False,
        stopped: bool = False,
        deadline: datetime | None = None,
        actor: str = "app",
    ) -> list[PlanHandle]:
        """As PlanHandle.retry for every plan of a session, or with None of the tenant, of which nothing is open.

        Raises:
            InvalidInput: none of the three is asked for.
        """
        kinds = kinds_of(failed=failed, denied=denied, stopped=stopped)
        retried = self._services.submitting.control.retry_ended(tenant, session_id, kinds, actor, deadline)
        return [PlanHandle(self._services, tenant, plan.plan_id, created=plan.created) for plan in retried]


def plan_request(**fields: Any) -> PlanRequest:
    """The request of these fields.

    Raises:
        InvalidInput: one of them is not valid.
    """
    try:
        return PlanRequest(**fields)
    except ValidationError as exc:
        raise InvalidInput(f"the request is not valid: {describe(exc)}") from None
