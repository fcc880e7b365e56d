"""What became of the gate's rulings, in PostgreSQL."""

from typing import Any
from uuid import UUID

from psycopg.rows import DictRow
from pydantic import ValidationError

from chimera.adapters.postgres.database import Database, statements
from chimera.models.work.result import INVALID_RESULT, OUTCOME, FailureOutcome
from chimera.ports import verdict_store as port
from chimera.ports.verdict_store import CardOutcome, GateCount, Labelled, Scope

_SQL = statements("verdict_store")


class VerdictStore(port.VerdictStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, scope: Scope) -> list[GateCount]:  # noqa: D102  see the port
        with self._database.transaction(scope.tenant_id) as connection:
            rows = connection.execute(_SQL["counts"], _values(scope))
            return [GateCount.model_validate(row, strict=False) for row in rows]

    def cards(self, scope: Scope, after: UUID, limit: int) -> list[CardOutcome]:  # noqa: D102
        with self._database.transaction(scope.tenant_id) as connection:
            rows = connection.execute(_SQL["cards"], _values(scope) | {"after": after, "limit": limit})
            return [CardOutcome.model_validate(row, strict=False) for row in rows]

    def labelled(self, scope: Scope, after: tuple[UUID, int], limit: int) -> list[Labelled]:  # noqa: D102
        values = _values(scope) | {"task": after[0], "attempt": after[1], "limit": limit}
        with self._database.transaction(scope.tenant_id) as connection:
            return [_labelled(row) for row in connection.execute(_SQL["labelled"], values)]


def _values(scope: Scope) -> dict[str, Any]:
    return {"tenant": scope.tenant_id, "skill": scope.skill, "since": scope.since}


def _labelled(row: DictRow) -> Labelled:
    try:
        outcome = OUTCOME.validate_python(row["outcome"], strict=False)
    except ValidationError:
        # As in staged.py: what is no outcome, or was erased, has nothing to be compared with.
        outcome = FailureOutcome(code=INVALID_RESULT, message="the result is no outcome", retryable=False)
    return Labelled(**{**row, "outcome": outcome})
