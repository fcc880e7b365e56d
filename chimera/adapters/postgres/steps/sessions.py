"""What transactions on plans do with the plans' session."""

from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import statements
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.session import SessionEntered, SessionState

_SQL = statements("sessions")


def enter(
    connection: psycopg.Connection[DictRow], tenant_id: str, session_id: str | None, actor: str
) -> SessionEntered | None:
    """The session that a plan is about to be stored in, with the audit's head locked; None where it names none.

    Raises:
        SessionStopped: it takes no plan any more.
    """
    if session_id is None:
        return None
    values = {"tenant": tenant_id, "session_id": session_id, "actor": actor}
    row = connection.execute(_SQL["enter"], values).fetchone()
    assert row is not None
    entered = SessionEntered.model_validate(row, strict=False)
    entered.require_open()
    return entered


def opened_event(entered: SessionEntered | None, actor: str) -> list[AuditEvent]:
    """That the session was made, where it was."""
    if entered is None or not entered.opened:
        return []
    return [AuditEvent(kind=AuditKind.SESSION_OPENED, actor=actor, facts={"session_id": entered.session_id})]


def held_event(entered: SessionEntered | None, plan_id: UUID) -> list[AuditEvent]:
    """That the plan waits for its session, where it does: by whom that was paused."""
    if entered is None or entered.pauses is None:
        return []
    facts = {"session_id": entered.session_id}
    return [AuditEvent(kind=AuditKind.PLAN_PAUSED, actor=entered.pauses, plan_id=plan_id, facts=facts)]


def is_held(
    connection: psycopg.Connection[DictRow], tenant_id: str, session_id: str | None, only_if: SessionState | None
) -> bool:
    """Whether plans may be changed for a session's sake: it is in this state, and stays so until the end."""
    if session_id is None or only_if is None:
        return True
    row = connection.execute(_SQL["hold"], {"tenant": tenant_id, "session_id": session_id}).fetchone()
    return row is not None and row["state"] == only_if
