"""Ids that somebody wrote short, in memory."""

from collections.abc import Sequence
from uuid import UUID

from chimera.errors import CardNotFound, PlanNotFound, TaskNotFound
from chimera.models.audit.access import refused_event
from chimera.models.ids import IdKind, IdRange
from chimera.ports import id_store as port
from tests.fakes.database import FakeDatabase


class FakeIdStore(port.IdStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def find(self, tenant_id: str, kind: IdKind, text: str, ranges: Sequence[IdRange], limit: int) -> list[UUID]:
        rows = self._database.opened()
        known, missing = {
            IdKind.PLAN: ([*rows.plans], PlanNotFound),
            IdKind.TASK: ([*rows.tasks], TaskNotFound),
            IdKind.CARD: ([*rows.cards], CardNotFound),
        }[kind]
        found = {value for owner, value in known if owner == tenant_id and any(each.holds(value) for each in ranges)}
        if not found:
            rows.refuse(tenant_id, refused_event("app", text, "read"))
            raise missing
        return sorted(found)[:limit]
