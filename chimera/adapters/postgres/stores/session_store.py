"""Sessions, in PostgreSQL."""

from typing import Any

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.errors import SessionNotFound
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.session import Session, SessionState, stopped
from chimera.ports import session_store as port

_SQL = statements("session_store")


class SessionStore(port.SessionStore):
    """In the role `app`. Locks the session, then the audit's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant_id: str, session_id: str) -> Session:  # noqa: D102  see the port
        with self._database.transaction(tenant_id) as connection:
            return _get(connection, {"tenant": tenant_id, "session_id": session_id})

    def list_sessions(  # noqa: D102
        self, tenant_id: str, *, state: SessionState | None = None, limit: int
    ) -> list[Session]:
        with self._database.transaction(tenant_id) as connection:
            return _sessions(connection, {"tenant": tenant_id, "session_id": None, "state": state, "limit": limit})

    def change(self, tenant_id: str, session_id: str, to: SessionState, actor: str) -> Session:  # noqa: D102
        scope = {"tenant": tenant_id, "session_id": session_id}
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["lock"], scope).fetchone()
            if row is not None and row["state"] != to:
                if row["state"] == SessionState.STOPPED:
                    raise stopped(session_id, row["changed_by"])
                connection.execute(_SQL["change"], scope | {"state": to, "actor": actor})
                facts = {"session_id": session_id, "was": row["state"]}
                append(connection, tenant_id, [AuditEvent(kind=AuditKind.session_is(to), actor=actor, facts=facts)])
            return _get(connection, scope)


def _get(connection: psycopg.Connection[DictRow], scope: dict[str, Any]) -> Session:
    found = _sessions(connection, scope | {"state": None, "limit": 1})
    if not found:
        raise SessionNotFound(f"tenant {scope['tenant']!r} has no session {scope['session_id']!r}")
    return found[0]


def _sessions(connection: psycopg.Connection[DictRow], values: dict[str, Any]) -> list[Session]:
    return [Session.model_validate(row, strict=False) for row in connection.execute(_SQL["sessions"], values)]
