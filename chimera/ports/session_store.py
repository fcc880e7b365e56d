"""Sessions: the store in the role `app`."""

from typing import Protocol

from chimera.models.work.session import Session, SessionState


class SessionStore(Protocol):
    """Each method is one transaction in the scope of one tenant; all raise StoreUnavailable."""

    def get(self, tenant_id: str, session_id: str) -> Session:
        """A session as it stands.

        Raises:
            SessionNotFound: no plan of the tenant has named it.
        """
        ...

    def list_sessions(self, tenant_id: str, *, state: SessionState | None = None, limit: int) -> list[Session]:
        """The tenant's sessions, those opened last first; in one state, or all."""
        ...

    def change(self, tenant_id: str, session_id: str, to: SessionState, actor: str) -> Session:
        """Puts a session in another state, with an audit entry; its plans stay as they are.

        A plan that is submitted at the same time comes before the change, or sees it. The same again changes and
        records nothing.

        Raises:
            SessionNotFound: no plan of the tenant has named it.
            SessionStopped: it was stopped, and is to be something else.
        """
        ...
