"""Exports that wait to be sealed, in memory."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chimera.errors import InvalidInput
from chimera.models.audit.export import ASKED_SECONDS, AskedExport, ExportHeader
from chimera.ports import export_store
from tests.fakes.database import FakeDatabase


@dataclass
class _Asked:
    asked: AskedExport
    at: datetime
    is_answered: bool = False
    header: ExportHeader | None = None


class FakeExportStore(export_store.ExportStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._all: dict[tuple[str, UUID], _Asked] = {}

    def ask(self, asked: AskedExport) -> None:
        now = self._database.opened().now()
        self._all[asked.tenant_id, asked.export_id] = _Asked(asked, now)

    def header(self, tenant_id: str, export_id: UUID) -> ExportHeader | None:
        self._database.opened()
        found = self._all.get((tenant_id, export_id))
        if found is None or not found.is_answered:
            return None
        if found.header is None:
            raise InvalidInput
        return found.header

    def asked(self) -> list[AskedExport]:
        since = self._database.opened().now() - timedelta(seconds=ASKED_SECONDS)
        first: dict[str, AskedExport] = {}
        for each in self._all.values():
            if not each.is_answered and each.at > since:
                first.setdefault(each.asked.tenant_id, each.asked)
        return list(first.values())

    def answer(self, asked: AskedExport, header: ExportHeader | None) -> None:
        self._database.opened()
        found = self._all.get((asked.tenant_id, asked.export_id))
        if found is not None and not found.is_answered:
            found.is_answered, found.header = True, header
