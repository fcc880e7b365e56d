"""Exports that wait to be sealed, in PostgreSQL."""

from uuid import UUID

from chimera.adapters.postgres.database import Database, statements
from chimera.errors import InvalidInput
from chimera.models.audit.export import ASKED_SECONDS, AskedExport, ExportHeader
from chimera.ports import export_store as port

_SQL = statements("export_store")


class ExportStore(port.ExportStore):
    """In the role `app` for who exports, in the role `seal` for who answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, asked: AskedExport) -> None:  # noqa: D102  see the port
        values = {"tenant": asked.tenant_id, "export": asked.export_id, "after": asked.after_seq}
        with self._database.transaction(asked.tenant_id) as connection:
            connection.execute(_SQL["ask"], values)

    def header(self, tenant_id: str, export_id: UUID) -> ExportHeader | None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["header"], {"tenant": tenant_id, "export": export_id}).fetchone()
        if row is None or row["answered_at"] is None:
            return None
        if row["header"] is None:
            raise InvalidInput(f"the audit of {tenant_id} has no entries from there on")
        return ExportHeader.model_validate_json(row["header"])

    def asked(self) -> list[AskedExport]:  # noqa: D102
        with self._database.transaction() as connection:
            rows = connection.execute(_SQL["asked"], {"seconds": ASKED_SECONDS})
            return [AskedExport.model_validate(row) for row in rows]

    def answer(self, asked: AskedExport, header: ExportHeader | None) -> None:  # noqa: D102
        text = None if header is None else header.model_dump_json()
        values = {"tenant": asked.tenant_id, "export": asked.export_id, "header": text}
        with self._database.transaction(asked.tenant_id) as connection:
            connection.execute(_SQL["answer"], values)
