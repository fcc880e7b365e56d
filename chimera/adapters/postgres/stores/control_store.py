"""Stopping, pausing and trying again, in PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps.chain import append, lock_head
from chimera.adapters.postgres.steps.plan_rows import (
    TASKS_PER_INSERT,
    array_text,
    insert_waves,
    not_found,
    plan_changes,
    plan_event,
    resume_plans,
    stop_plan,
)
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.adapters.postgres.steps.sessions import enter, held_event, is_held, opened_event
from chimera.errors import Conflict, NothingToRetry, PlanAlreadyEnded
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.ids import IdKind, format_id
from chimera.models.work.plan import ENDED, OPEN, PlanChange, PlanState
from chimera.models.work.retry import EndedTask, RetryDraft, RetryKind, nothing_to_retry, plan_states, task_states
from chimera.models.work.session import SessionState
from chimera.ports import control_store as port
from chimera.ports.control_store import Retried, Retry, RetryDrafter

_SQL = statements("control_store")

Connection = psycopg.Connection[DictRow]


class ControlStore(port.ControlStore):
    """In the role `app`. Locks the session, then waves, then plans, then the audit's head, as the Judge does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stop(self, tenant_id: str, plan_id: UUID, end: PlanState, actor: str) -> PlanState:  # noqa: D102  see the port
        asked_for, to = format_id(IdKind.PLAN, plan_id), "cancel" if end is PlanState.CANCELLED else "stop"
        with refusals_noted(self._database, tenant_id, asked_for, to, actor):
            return stop_plan(self._database, tenant_id, plan_id, end, actor)

    def stop_open(  # noqa: D102
        self,
        tenant_id: str,
        session_id: str | None,
        end: PlanState,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        values = {"tenant": tenant_id, "session_id": session_id, "end": end, "actor": actor, "limit": limit}
        with self._database.transaction(tenant_id) as connection:
            if not is_held(connection, tenant_id, session_id, only_if):
                return []
            changes = plan_changes(connection.execute(_SQL["stop_open"], values))
            events: list[AuditEvent] = []
            for change in changes:
                events.append(plan_event(AuditKind.plan_is_to_be(end), actor, change.plan_id))
                if change.state is end:
                    events.append(plan_event(AuditKind.plan_is(end), actor, change.plan_id))
            append(connection, tenant_id, events)
        return changes

    def pause(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:  # noqa: D102
        scope = _scope(tenant_id, plan_id=plan_id)
        with self._changing(tenant_id, plan_id, "pause", actor) as connection:
            changed = _pause(connection, scope, actor)
            return changed[0] if changed else _as_it_stands(connection, tenant_id, plan_id, "paused")

    def pause_open(  # noqa: D102
        self,
        tenant_id: str,
        session_id: str | None,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        scope = _scope(tenant_id, session_id=session_id, limit=limit)
        with self._database.transaction(tenant_id) as connection:
            return _pause(connection, scope, actor) if is_held(connection, tenant_id, session_id, only_if) else []

    def resume(self, tenant_id: str, plan_id: UUID, actor: str) -> PlanChange:  # noqa: D102
        scope = _scope(tenant_id, plan_id=plan_id)
        with self._changing(tenant_id, plan_id, "resume", actor) as connection:
            changed = _resume(connection, scope, actor)
            return changed[0] if changed else _as_it_stands(connection, tenant_id, plan_id, "resumed")

    def resume_open(  # noqa: D102
        self,
        tenant_id: str,
        session_id: str | None,
        actor: str,
        limit: int,
        only_if: SessionState | None = None,
    ) -> list[PlanChange]:
        scope = _scope(tenant_id, session_id=session_id, limit=limit)
        with self._database.transaction(tenant_id) as connection:
            return _resume(connection, scope, actor) if is_held(connection, tenant_id, session_id, only_if) else []

    def retry(self, retry: Retry, draft: RetryDrafter) -> Retried:  # noqa: D102
        scope = {"tenant": retry.tenant_id, "plan": retry.plan_id, "task": retry.task_id}
        states = [str(state) for state in task_states(retry.kinds)]
        with self._changing(retry.tenant_id, retry.plan_id, "retry", retry.actor) as connection:
            plan = connection.execute(_SQL["lock_retried"], scope).fetchone()
            if plan is None:
                raise not_found(retry.tenant_id, retry.plan_id)
            state = PlanState(plan["state"])
            if state not in ENDED | {PlanState.IN_REVIEW}:
                raise Conflict(f"the plan is {state}: it can be tried again when none of its tasks is open")
            if plan["erased"]:
                raise Conflict("what the plan was asked for was erased: it cannot be tried again")
            rows = connection.execute(_SQL["tasks_to_retry"], scope | {"states": states}).fetchall()
            made = draft([EndedTask(task_id=row["task_id"], unmet=tuple(row["unmet"] or ())) for row in rows])
            left_out = len(rows) - len(made.placed)
            # A plan that ended without tasks: its request as a whole.
            anew = plan["task_count"] == 0 and state in plan_states(retry.kinds)
            found = {"states": states, "anew": anew}
            earlier = connection.execute(_SQL["latest_retry"], scope | found).fetchone()
            if made.placed or (anew and earlier is None):
                new = {"plan_id": made.plan_id, "created": True, "tasks": len(made.placed)}
                new |= _insert(connection, retry, made, plan["session_id"])
            elif earlier is not None:
                new = {"plan_id": earlier["plan_id"], "state": PlanState(earlier["state"]), "created": False}
                new["tasks"] = earlier["task_count"]
            else:
                raise NothingToRetry(nothing_to_retry(retry.plan_id, retry.kinds, left_out))
        return Retried.model_validate(new | {"retry_of": retry.plan_id, "left_out": left_out})

    def retryable(  # noqa: D102
        self, tenant_id: str, session_id: str | None, kinds: frozenset[RetryKind], after: UUID, limit: int
    ) -> list[UUID]:
        values: dict[str, Any] = {"tenant": tenant_id, "session_id": session_id, "after": after, "limit": limit}
        values["states"] = [str(state) for state in task_states(kinds)]
        values["plan_states"] = [str(state) for state in plan_states(kinds)]
        with self._database.transaction(tenant_id) as connection:
            return [row["plan_id"] for row in connection.execute(_SQL["retryable"], values)]

    @contextmanager
    def _changing(self, tenant_id: str, plan_id: UUID, to: str, actor: str) -> Iterator[Connection]:
        """A transaction on one plan, with an attempt on one that the tenant does not have put on record."""
        with (
            refusals_noted(self._database, tenant_id, format_id(IdKind.PLAN, plan_id), to, actor),
            self._database.transaction(tenant_id) as connection,
        ):
            yield connection


def _scope(
    tenant_id: str, *, plan_id: UUID | None = None, session_id: str | None = None, limit: int = 1
) -> dict[str, Any]:
    """Which plans: one, or up to `limit` of a session's, or with neither of all of the tenant's."""
    return {"tenant": tenant_id, "plan": plan_id, "session_id": session_id, "limit": limit}


def _pause(connection: Connection, scope: dict[str, Any], actor: str) -> list[PlanChange]:
    changes = plan_changes(connection.execute(_SQL["pause"], scope | {"actor": actor}), paused=True)
    append(
        connection, scope["tenant"], [plan_event(AuditKind.PLAN_PAUSED, actor, change.plan_id) for change in changes]
    )
    return changes


def _resume(connection: Connection, scope: dict[str, Any], actor: str) -> list[PlanChange]:
    plans = [row["plan_id"] for row in connection.execute(_SQL["paused"], scope)]
    return resume_plans(connection, scope["tenant"], plans, actor)


def _insert(connection: Connection, retry: Retry, made: RetryDraft, session_id: str | None) -> dict[str, Any]:
    """Stores the new plan with its tasks; without tasks it waits for its planner. Returns how it stands."""
    tenant_id = retry.tenant_id
    state = PlanState.RUNNING if made.placed else PlanState.SUBMITTED
    # The head before the rows: the plan knows where its entries begin.
    head = lock_head(connection, tenant_id)
    session = enter(connection, tenant_id, session_id, retry.actor)
    opened = append(connection, tenant_id, opened_event(session, retry.actor))
    values = {"tenant": tenant_id, "plan": retry.plan_id, "new_plan": made.plan_id, "deadline": retry.deadline}
    values |= {"state": state, "task_count": len(made.placed), "first_audit_seq": head.seq + len(opened) + 1}
    values |= {"paused_by": session and session.pauses}
    plan = connection.execute(_SQL["insert_retry"], values).fetchone()
    assert plan is not None
    facts = {
        "planner": plan["planner"],
        "trace_id": plan["trace_id"],
        "request_sha256": plan["request_sha256"].hex(),
        "retry_of": retry.plan_id.hex,
        "retried": sorted(retry.kinds),
    }
    events = [plan_event(AuditKind.PLAN_SUBMITTED, retry.actor, made.plan_id, facts)]
    if made.placed:
        scope = {"tenant": tenant_id, "plan": made.plan_id, "priority": plan["priority"]}
        insert_waves(connection, scope, made.waves)
        for start in range(0, len(made.placed), TASKS_PER_INSERT):
            rows = [
                (wave_no, copy.ordinal, copy.task_id, copy.parent_task_id, array_text(copy.depends_on))
                for wave_no, copy in made.placed[start : start + TASKS_PER_INSERT]
            ]
            arrays = columns(rows, "wave_nos ordinals task_ids parents depends_on")
            connection.execute(_SQL["copy_tasks"], values | arrays)
        facts = {"tasks": len(made.placed), "waves": len(made.waves)}
        events.append(plan_event(AuditKind.PLAN_PLANNED, retry.actor, made.plan_id, facts))
    append(connection, tenant_id, [*events, *held_event(session, made.plan_id)])
    return {"state": state, "paused": session is not None and session.pauses is not None}


def _as_it_stands(connection: Connection, tenant_id: str, plan_id: UUID, asked: str) -> PlanChange:
    """The plan that was not changed, because it is so already.

    Raises:
        PlanNotFound: there is none.
        PlanAlreadyEnded: it cannot be changed.
    """
    row = connection.execute(_SQL["plan"], {"tenant": tenant_id, "plan": plan_id}).fetchone()
    if row is None:
        raise not_found(tenant_id, plan_id)
    state = PlanState(row["state"])
    if state not in OPEN:
        raise PlanAlreadyEnded(f"the plan is {state} already: it cannot be {asked}")
    return PlanChange(plan_id=plan_id, state=state, paused=row["paused"])
