"""Who read the audit, in memory."""

from collections.abc import Mapping
from typing import Any

from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.ports import access_log as port
from tests.fakes.database import FakeDatabase


class FakeAccessLog(port.AccessLog):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def note_read(self, tenant_id: str, actor: str, facts: Mapping[str, Any]) -> None:
        event = AuditEvent(kind=AuditKind.AUDIT_READ, actor=actor, facts=dict(facts))
        self._database.opened().record(tenant_id, [event])
