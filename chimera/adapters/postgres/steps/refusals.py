"""Attempts on what a tenant does not have: each goes on record, many within a minute as a count."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.errors import CardNotFound, PlanNotFound, TaskNotFound
from chimera.models.audit.access import WINDOW, Refusals, counted, refused_event, rest_event
from chimera.models.audit.audit import AuditEvent

_SQL = statements("refusals")
_WINDOW = {"window_seconds": WINDOW.total_seconds()}


@contextmanager
def refusals_noted(
    database: Database, tenant_id: str, asked_for: str, to: str = "read", actor: str = "app"
) -> Iterator[None]:
    """Records that a tenant does not have what is asked for inside, where that is what it raises.

    To be opened before the transaction, which is then rolled back.
    """
    try:
        yield
    except (PlanNotFound, TaskNotFound, CardNotFound):
        with database.transaction(tenant_id) as connection:
            _count(connection, tenant_id, refused_event(actor, asked_for, to))
        raise


def tenants_with_rest(connection: psycopg.Connection[DictRow]) -> list[str]:
    """Tenants, of all, that have refused attempts of a minute that is over which no entry tells of."""
    return [row["tenant_id"] for row in connection.execute(_SQL["uncounted_tenants"], _WINDOW)]


def record_rest(connection: psycopg.Connection[DictRow], tenant_id: str) -> None:
    """Records how many refused attempts were only counted, once their minute is over."""
    scope = {"tenant": tenant_id}
    row = connection.execute(_SQL["lock_counted"], scope | _WINDOW).fetchone()
    if row is not None:
        connection.execute(_SQL["forget_rest"], scope)
        append(connection, tenant_id, [rest_event(Refusals.model_validate(row))])


def _count(connection: psycopg.Connection[DictRow], tenant_id: str, event: AuditEvent) -> None:
    scope = {"tenant": tenant_id}
    connection.execute(_SQL["begin"], scope)
    row = connection.execute(_SQL["lock"], scope).fetchone()
    if row is None:
        return  # there is no such tenant, and so nobody's audit to write to
    now = row.pop("now")
    earlier = Refusals.model_validate(row) if row["recorded"] else None
    count, events = counted(earlier, now, event)
    connection.execute(_SQL["write"], scope | count.model_dump())
    if events:
        append(connection, tenant_id, events)
