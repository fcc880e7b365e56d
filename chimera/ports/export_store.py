"""Exports of the audit that wait to be sealed: who exports asks, who seals answers."""

from typing import Protocol
from uuid import UUID

from chimera.models.audit.export import AskedExport, ExportHeader


class ExportStore(Protocol):
    """Each method is one transaction; all raise StoreUnavailable."""

    def ask(self, asked: AskedExport) -> None:
        """Asks for the seal of an export. Role app."""
        ...

    def header(self, tenant_id: str, export_id: UUID) -> ExportHeader | None:
        """The signed header that was the answer; None as long as there is none. Role app.

        Raises:
            InvalidInput: the answer was that there are no such entries.
        """
        ...

    def asked(self) -> list[AskedExport]:
        """Of each tenant the one that waits longest, if it was asked for in the last ten minutes. Role seal."""
        ...

    def answer(self, asked: AskedExport, header: ExportHeader | None) -> None:
        """Answers with a signed header, or with None that there are no such entries. Role seal."""
        ...
