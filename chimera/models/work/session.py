"""A session: plans that belong together, and whether the next one may start."""

from enum import StrEnum

from pydantic import Field

from chimera.errors import SessionStopped
from chimera.models.record import Instant, Record, TenantId
from chimera.models.work.plan import PlanChange


class SessionState(StrEnum):
    """What becomes of a plan that is submitted to the session."""

    OPEN = "open"  # it starts
    PAUSED = "paused"  # it is stored paused, and goes on when the session is resumed
    STOPPED = "stopped"  # it is refused; for good


class Session(Record):
    """A session as it stands now. The first plan that names it makes it."""

    tenant_id: TenantId
    session_id: str
    state: SessionState
    opened_at: Instant
    opened_by: str
    # When its state was changed last, and by whom; None where it never was.
    changed_at: Instant | None = None
    changed_by: str | None = None
    # Its plans, and those of them that have not ended and do not stop.
    plans: int = Field(ge=0)
    open_plans: int = Field(ge=0)


class SessionChange(Record):
    """A session after it was paused, resumed or stopped, with the plans that were changed with it."""

    session: Session
    plans: tuple[PlanChange, ...] = ()


class SessionEntered(Record):
    """How a session stands at the moment at which a plan is stored in it."""

    session_id: str
    state: SessionState
    changed_by: str | None = None
    opened: bool = False  # this plan made it

    @property
    def pauses(self) -> str | None:
        """Who has the plan wait; None where it starts."""
        return self.changed_by if self.state is SessionState.PAUSED else None

    def require_open(self) -> None:
        """Lets the plan in.

        Raises:
            SessionStopped: the session takes none any more.
        """
        if self.state is SessionState.STOPPED:
            raise stopped(self.session_id, self.changed_by)


def stopped(session_id: str, by: str | None) -> SessionStopped:
    """That a session takes no plan any more, and what to do."""
    return SessionStopped(f"session {session_id!r} was stopped by {by}: it takes no plan any more, name another one")
