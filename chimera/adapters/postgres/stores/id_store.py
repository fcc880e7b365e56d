"""Ids that somebody wrote short, in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.errors import CardNotFound, PlanNotFound, TaskNotFound
from chimera.models.ids import IdKind, IdRange
from chimera.ports import id_store as port

_SQL = statements("id_store")
_OF = {
    IdKind.PLAN: ("plans", PlanNotFound, "plan"),
    IdKind.TASK: ("tasks", TaskNotFound, "task"),
    IdKind.CARD: ("cards", CardNotFound, "review card"),
}


class IdStore(port.IdStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(  # noqa: D102  see the port
        self, tenant_id: str, kind: IdKind, text: str, ranges: Sequence[IdRange], limit: int
    ) -> list[UUID]:
        statement, missing, noun = _OF[kind]
        bounds = columns([(each.low, each.high, each.tail) for each in ranges], "lows highs tails")
        with refusals_noted(self._database, tenant_id, text):
            with self._database.transaction(tenant_id) as connection:
                rows = connection.execute(_SQL[statement], bounds | {"tenant": tenant_id, "limit": limit}).fetchall()
            if not rows:
                raise missing(f"tenant {tenant_id!r} has no {noun} {text}")
        return [row["id"] for row in rows]
