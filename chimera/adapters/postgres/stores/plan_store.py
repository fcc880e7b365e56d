"""Plans as their submitters see them, in PostgreSQL."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps.chain import append, entry, filter_values, lock_head
from chimera.adapters.postgres.steps.plan_rows import (
    TASKS_PER_INSERT,
    array_text,
    insert_waves,
    mark_plan_published,
    not_found,
)
from chimera.adapters.postgres.steps.refusals import refusals_noted
from chimera.adapters.postgres.steps.sessions import enter, held_event, opened_event
from chimera.errors import IdempotencyConflict
from chimera.failpoints import Failpoint, failpoint
from chimera.models.audit.audit import AuditEntry, AuditEvent
from chimera.models.audit.entry_filter import EVERY_ENTRY, EntryFilter
from chimera.models.audit.kinds import AuditKind
from chimera.models.ids import IdKind, format_id
from chimera.models.record import canonical_json
from chimera.models.work.lease import Renewal
from chimera.models.work.plan import Plan, PlanCounts, PlanFailure, PlanRequest, PlanState, require_future
from chimera.models.work.task import Task
from chimera.models.work.wave import Wave
from chimera.ports import plan_store as port
from chimera.ports.plan_store import PlanningJob, Submitted, TaskResult

_SQL = statements("plan_store")

_SUBMITTER = "app"
_PLANNER = "planner"
_COUNTS = frozenset(PlanCounts.model_fields)


class _Checked(Exception):
    """A submission would have been taken."""


class PlanStore(port.PlanStore):
    """In the role `app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, plan_id: UUID, request: PlanRequest) -> Submitted:  # noqa: D102  see the port
        with self._database.transaction(request.tenant_id) as connection:
            return self._submit(connection, plan_id, request)

    def check(self, request: PlanRequest) -> None:  # noqa: D102
        # The very submission, rolled back: so nothing that it refuses is forgotten here.
        with suppress(_Checked), self._database.transaction(request.tenant_id) as connection:
            self._submit(connection, uuid4(), request)
            raise _Checked

    def _submit(self, connection: psycopg.Connection[DictRow], plan_id: UUID, request: PlanRequest) -> Submitted:
        tenant_id = request.tenant_id
        # The head first: it says whether there is such a tenant before anything refers to it, and two
        # requests with one idempotency key come one after the other. So the key can be looked up; an
        # ON CONFLICT would wait for a transaction that is changing the plan, and that one may wait for the head.
        head = lock_head(connection, tenant_id)
        if (earlier := self._earlier(connection, tenant_id, request)) is not None:
            return earlier
        require_future(request.deadline, head.at)
        session = enter(connection, tenant_id, request.session_id, _SUBMITTER)
        opened = append(connection, tenant_id, opened_event(session, _SUBMITTER))
        values = request.model_dump(mode="python", exclude={"tenant_id", "inputs"})
        values |= {"tenant": tenant_id, "plan": plan_id, "request_sha256": request.sha256()}
        values |= {"inputs": canonical_json(request.inputs), "first_audit_seq": head.seq + len(opened) + 1}
        values |= {"paused_by": session and session.pauses}
        connection.execute(_SQL["insert_plan"], values)
        event = AuditEvent(
            kind=AuditKind.PLAN_SUBMITTED,
            actor=_SUBMITTER,
            plan_id=plan_id,
            facts={
                "planner": request.planner,
                "trace_id": request.trace_id,
                "request_sha256": request.sha256().hex(),
            },
        )
        append(connection, tenant_id, [event, *held_event(session, plan_id)])
        paused = session is not None and session.pauses is not None
        return Submitted(plan_id=plan_id, created=True, paused=paused)

    def mark_published(self, tenant_id: str, plan_id: UUID, epoch: str) -> None:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            mark_plan_published(connection, tenant_id, plan_id, epoch)

    def begin_planning(  # noqa: D102
        self, tenant_id: str, plan_id: UUID, lease_token: UUID, lease_seconds: float, planners: Collection[str]
    ) -> PlanningJob | None:
        values = {"tenant": tenant_id, "plan": plan_id, "token": lease_token, "seconds": lease_seconds}
        values |= {"planners": list(planners)}
        with self._database.transaction(tenant_id) as connection:
            row = connection.execute(_SQL["begin_planning"], values).fetchone()
        return PlanningJob.model_validate(row) if row else None

    def renew_planning(  # noqa: D102
        self, tenant_id: str, plan_id: UUID, lease_token: UUID, lease_seconds: float
    ) -> Renewal:
        values = {"tenant": tenant_id, "plan": plan_id, "token": lease_token, "seconds": lease_seconds}
        with self._database.transaction(tenant_id) as connection:
            held = connection.execute(_SQL["renew_planning"], values).fetchone() is not None
        return Renewal(held=held, may_start=held)

    def save_tasks(  # noqa: D102
        self,
        tenant_id: str,
        plan_id: UUID,
        lease_token: UUID,
        waves: Sequence[Wave],
        tasks: Sequence[Task],
        *,
        has_replan: bool = False,
    ) -> bool:
        scope = {"tenant": tenant_id, "plan": plan_id}
        state = PlanState.RUNNING if tasks else PlanState.COMPLETED
        with self._database.transaction(tenant_id) as connection:
            plan = self._end_planning(
                connection, scope, lease_token, state, task_count=len(tasks), has_replan=has_replan
            )
            if plan is None:
                return False
            scope["priority"] = plan["priority"]
            if tasks:
                insert_waves(connection, scope, waves)
            failpoint(Failpoint.PLANNER_WAVES_WRITTEN, tenant_id)
            for start in range(0, len(tasks), TASKS_PER_INSERT):
                chunk = tasks[start : start + TASKS_PER_INSERT]
                connection.execute(_SQL["insert_tasks"], scope | _task_columns(chunk))
            failpoint(Failpoint.PLANNER_TASKS_WRITTEN, tenant_id)
            facts = {"tasks": len(tasks), "waves": len(waves)}
            events = [AuditEvent(kind=AuditKind.PLAN_PLANNED, actor=_PLANNER, plan_id=plan_id, facts=facts)]
            if not tasks:
                events.append(AuditEvent(kind=AuditKind.PLAN_COMPLETED, actor=_PLANNER, plan_id=plan_id, facts={}))
            append(connection, tenant_id, events)
            failpoint(Failpoint.PLANNER_AUDITED, tenant_id)
        return True

    def fail_plan(  # noqa: D102
        self, tenant_id: str, plan_id: UUID, lease_token: UUID, failure: PlanFailure
    ) -> bool:
        scope = {"tenant": tenant_id, "plan": plan_id}
        with self._database.transaction(tenant_id) as connection:
            if self._end_planning(connection, scope, lease_token, PlanState.FAILED, failure=failure) is None:
                return False
            facts = {"code": failure.code}
            event = AuditEvent(kind=AuditKind.PLAN_FAILED, actor=_PLANNER, plan_id=plan_id, facts=facts)
            append(connection, tenant_id, [event])
        return True

    def get(self, tenant_id: str, plan_id: UUID) -> Plan:  # noqa: D102
        with refusals_noted(self._database, tenant_id, format_id(IdKind.PLAN, plan_id)):
            plans = self._plans({"tenant": tenant_id, "plan": plan_id, "state": None, "session_id": None, "limit": 1})
            if not plans:
                raise not_found(tenant_id, plan_id)
        return plans[0]

    def list_plans(  # noqa: D102
        self, tenant_id: str, limit: int, state: PlanState | None = None, session_id: str | None = None
    ) -> list[Plan]:
        return self._plans(
            {"tenant": tenant_id, "plan": None, "state": state, "session_id": session_id, "limit": limit}
        )

    def results(  # noqa: D102
        self, tenant_id: str, plan_id: UUID, after: tuple[int, int], limit: int
    ) -> list[TaskResult]:
        values = {
            "tenant": tenant_id,
            "plan": plan_id,
            "wave_no": after[0],
            "ordinal": after[1],
            "limit": limit,
        }
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["results"], values).fetchall()
        return [TaskResult.model_validate(row, strict=False) for row in rows]

    def entries(  # noqa: D102
        self, tenant_id: str, plan_id: UUID | None, after: int, limit: int, wanted: EntryFilter = EVERY_ENTRY
    ) -> list[AuditEntry]:
        of_plan = wanted.model_copy(update={"plan_id": plan_id})
        values = filter_values(tenant_id, of_plan) | {"after": after, "limit": limit}
        with self._database.transaction(tenant_id) as connection:
            return [entry(row) for row in connection.execute(_SQL["entries"], values)]

    def last_entries(  # noqa: D102
        self, tenant_id: str, limit: int, wanted: EntryFilter = EVERY_ENTRY
    ) -> list[AuditEntry]:
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["last_entries"], filter_values(tenant_id, wanted) | {"limit": limit})
            return [entry(row) for row in rows][::-1]

    def erased(self, tenant_id: str, ids: Collection[UUID]) -> set[UUID]:  # noqa: D102
        with self._database.transaction(tenant_id) as connection:
            rows = connection.execute(_SQL["erased"], {"tenant": tenant_id, "ids": list(ids)})
            return {row["id"] for row in rows}

    def _plans(self, values: dict[str, Any]) -> list[Plan]:
        with self._database.transaction(values["tenant"]) as connection:
            return [_plan(row) for row in connection.execute(_SQL["plans"], values)]

    @staticmethod
    def _earlier(connection: psycopg.Connection[DictRow], tenant_id: str, request: PlanRequest) -> Submitted | None:
        """The plan that the request's idempotency key has already made."""
        if request.idempotency_key is None:
            return None
        values = {"tenant": tenant_id, "idempotency_key": request.idempotency_key}
        row = connection.execute(_SQL["plan_of_key"], values).fetchone()
        if row is None:
            return None
        if row["request_sha256"] != request.sha256():
            raise IdempotencyConflict(
                f"idempotency key {request.idempotency_key!r} was used with another request: "
                "use a new key for a new request"
            )
        return Submitted(plan_id=row["plan_id"], created=False)

    @staticmethod
    def _end_planning(
        connection: psycopg.Connection[DictRow],
        scope: dict[str, Any],
        lease_token: UUID,
        state: PlanState,
        *,
        task_count: int = 0,
        has_replan: bool = False,
        failure: PlanFailure | None = None,
    ) -> DictRow | None:
        values = {"token": lease_token, "state": state, "task_count": task_count, "has_replan": has_replan}
        values["failure"] = canonical_json(failure.model_dump()) if failure else None
        return connection.execute(_SQL["end_planning"], scope | values).fetchone()


def _plan(row: DictRow) -> Plan:
    counts = {name: value for name, value in row.items() if name in _COUNTS}
    rest = {name: value for name, value in row.items() if name not in _COUNTS}
    return Plan.model_validate(rest | {"counts": counts}, strict=False)


def _task_columns(tasks: Sequence[Task]) -> dict[str, list[Any]]:
    rows = [
        (
            task.wave_no,
            task.ordinal,
            task.task_id,
            task.skill,
            task.input,
            task.label,
            task.timeout_seconds,
            task.max_attempts,
            array_text(task.depends_on),
            task.state_key,
        )
        for task in tasks
    ]
    return columns(
        rows,
        "wave_nos ordinals task_ids skills inputs labels timeouts max_attempts depends_on state_keys",
    )
