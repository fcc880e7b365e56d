"""Sessions, in memory."""

from chimera.errors import SessionNotFound
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.plan import OPEN
from chimera.models.work.session import Session, SessionState, stopped
from chimera.ports import session_store as port
from tests.fakes.database import FakeDatabase


class FakeSessionStore(port.SessionStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def get(self, tenant_id: str, session_id: str) -> Session:
        database = self._database.opened()
        if (tenant_id, session_id) not in database.sessions:
            raise SessionNotFound
        row = database.sessions[tenant_id, session_id]
        plans = [plan for plan in database.plans.values() if plan.request.tenant_id == tenant_id]
        plans = [plan for plan in plans if plan.request.session_id == session_id]
        return Session(
            tenant_id=tenant_id,
            session_id=session_id,
            state=row.state,
            opened_at=row.opened_at,
            opened_by=row.opened_by,
            changed_at=row.changed_at,
            changed_by=row.changed_by,
            plans=len(plans),
            open_plans=sum(plan.state in OPEN for plan in plans),
        )

    def list_sessions(self, tenant_id: str, *, state: SessionState | None = None, limit: int) -> list[Session]:
        names = [name for owner, name in self._database.opened().sessions if owner == tenant_id]
        found = [self.get(tenant_id, name) for name in names]
        found = [session for session in found if state in {None, session.state}]
        return sorted(found, key=lambda session: (session.opened_at, session.session_id), reverse=True)[:limit]

    def change(self, tenant_id: str, session_id: str, to: SessionState, actor: str) -> Session:
        was = self.get(tenant_id, session_id).state
        if was is to:
            return self.get(tenant_id, session_id)
        row = self._database.sessions[tenant_id, session_id]
        if was is SessionState.STOPPED:
            raise stopped(session_id, row.changed_by)
        row.state, row.changed_at, row.changed_by = to, self._database.now(), actor
        facts = {"session_id": session_id, "was": was}
        self._database.record(tenant_id, [AuditEvent(kind=AuditKind.session_is(to), actor=actor, facts=facts)])
        return self.get(tenant_id, session_id)
