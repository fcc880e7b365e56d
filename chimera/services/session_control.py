"""Pausing, resuming and stopping sessions: what is submitted to them later, and the plans that they have."""

from chimera.models.text.person import require_actor
from chimera.models.work.plan import PlanChange
from chimera.models.work.session import SessionChange, SessionState
from chimera.ports.session_store import SessionStore
from chimera.services.control import PlanControl


class SessionControl:
    """Changes sessions. The session first: a plan that comes meanwhile sees it, or is among those changed after it.

    What broke off is done by asking again. Where two ask for different things at once, the plans follow the last state
    that the session was put in. All raise SessionNotFound and StoreUnavailable.
    """

    def __init__(self, store: SessionStore, control: PlanControl) -> None:
        self._store = store
        self._control = control

    def pause(self, tenant_id: str, session_id: str, actor: str) -> SessionChange:
        """Pauses its open plans; one that is submitted from now on waits until the session is resumed.

        Raises:
            SessionStopped: it was stopped.
        """
        self._store.change(tenant_id, session_id, SessionState.PAUSED, require_actor(actor))
        plans = self._control.pause_open(tenant_id, session_id, actor, only_if=SessionState.PAUSED)
        return self._changed(tenant_id, session_id, plans)

    def resume(self, tenant_id: str, session_id: str, actor: str) -> SessionChange:
        """Lets its plans go on, and those start that are submitted from now on.

        Raises:
            SessionStopped: it was stopped.
        """
        self._store.change(tenant_id, session_id, SessionState.OPEN, require_actor(actor))
        plans = self._control.resume_open(tenant_id, session_id, actor, only_if=SessionState.OPEN)
        return self._changed(tenant_id, session_id, plans)

    def stop(self, tenant_id: str, session_id: str, actor: str) -> SessionChange:
        """Cancels its open plans, and takes no plan any more."""
        self._store.change(tenant_id, session_id, SessionState.STOPPED, require_actor(actor))
        plans = self._control.cancel_open(tenant_id, session_id, actor, only_if=SessionState.STOPPED)
        return self._changed(tenant_id, session_id, plans)

    def _changed(self, tenant_id: str, session_id: str, plans: list[PlanChange]) -> SessionChange:
        return SessionChange(session=self._store.get(tenant_id, session_id), plans=tuple(plans))
