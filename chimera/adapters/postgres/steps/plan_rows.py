"""Rows of plans and waves: what more than one store does with them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.errors import PlanAlreadyEnded, PlanNotFound
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.plan import ENDED, PlanChange, PlanState
from chimera.models.work.wave import Wave

_SQL = statements("plan_rows")

# Tasks in one INSERT: enough to make the statement's own cost small, few enough to build in a few MB.
TASKS_PER_INSERT = 1000

Connection = psycopg.Connection[DictRow]


def stop_plan(database: Database, tenant_id: str, plan_id: UUID, end: PlanState, actor: str) -> PlanState:
    """Has a plan stop, in a transaction of its own; returns the state that it has then.

    Raises:
        PlanNotFound: the tenant has none.
        PlanAlreadyEnded: it ended otherwise, or stops for another reason.
    """
    scope = {"tenant": tenant_id, "plan": plan_id}
    with database.transaction(tenant_id) as connection:
        row = connection.execute(_SQL["lock_plan"], scope).fetchone()
        if row is None:
            raise not_found(tenant_id, plan_id)
        state = PlanState(row["state"])
        if state is end or row["stop_state"] == end:
            return state
        if state in ENDED or state is PlanState.STOPPING:
            raise PlanAlreadyEnded(f"the plan is {state} already: it cannot be {end}")
        stopped = connection.execute(_SQL["stop"], scope | {"end": end, "actor": actor}).fetchone()
        assert stopped is not None
        state = PlanState(stopped["state"])
        kinds = [AuditKind.plan_is_to_be(end), *([AuditKind.plan_is(end)] if state is end else [])]
        append(connection, tenant_id, [plan_event(kind, actor, plan_id) for kind in kinds])
    return state


def mark_plan_published(connection: Connection, tenant_id: str, plan_id: UUID, epoch: str) -> None:
    """Notes that the message to the plan's planner was sent, in this epoch of the broker."""
    connection.execute(_SQL["mark_published"], {"tenant": tenant_id, "plan": plan_id, "epoch": epoch})


def insert_waves(connection: Connection, scope: dict[str, Any], waves: Sequence[Wave]) -> None:
    """Stores the waves of a plan; the scope names tenant, plan and priority."""
    rows = [(wave.wave_no, wave.has_dependencies, wave.task_count) for wave in waves]
    connection.execute(_SQL["insert_waves"], scope | columns(rows, "wave_nos dependent task_counts"))


def resume_plans(connection: Connection, tenant_id: str, plans: list[UUID], actor: str) -> list[PlanChange]:
    """Has these plans go on, in this transaction; returns those that were paused."""
    if not plans:
        return []
    values = {"tenant": tenant_id, "plans": plans}
    connection.execute(_SQL["unsend_waves"], values)
    changes = plan_changes(connection.execute(_SQL["resume"], values))
    append(connection, tenant_id, [plan_event(AuditKind.PLAN_RESUMED, actor, change.plan_id) for change in changes])
    return changes


def plan_changes(cursor: psycopg.Cursor[DictRow], *, paused: bool = False) -> list[PlanChange]:
    """In the order of the plans: an UPDATE returns its rows in any."""
    changes = [PlanChange(plan_id=row["plan_id"], state=PlanState(row["state"]), paused=paused) for row in cursor]
    return sorted(changes, key=lambda change: change.plan_id)


def plan_event(kind: AuditKind, actor: str, plan_id: UUID, facts: dict[str, Any] | None = None) -> AuditEvent:
    """What happened to a plan."""
    return AuditEvent(kind=kind, actor=actor, plan_id=plan_id, facts=facts or {})


def array_text(ids: Sequence[UUID]) -> str | None:
    """Dependencies as PostgreSQL writes an array: an array of arrays of different lengths cannot be sent."""
    return f"{{{','.join(map(str, ids))}}}" if ids else None


def not_found(tenant_id: str, plan_id: UUID) -> PlanNotFound:
    """That the tenant has no such plan."""
    return PlanNotFound(f"tenant {tenant_id!r} has no plan pl_{plan_id.hex}")
