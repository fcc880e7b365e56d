"""Tasks that wait for their planner, in PostgreSQL."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.adapters.postgres.steps.wave_rows import lock_wave, scope_of
from chimera.failpoints import Failpoint, failpoint
from chimera.models.audit.audit import AuditEvent
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import sha256
from chimera.models.work.lease import Renewal
from chimera.models.work.replan import DeniedTask, ReplanState
from chimera.models.work.timing import RESEND_SECONDS
from chimera.models.work.wave import WaveRef
from chimera.ports import replan_store as port
from chimera.ports.replan_store import ReplanJob, Replanned

_SQL = statements("replan_store")


class ReplanStore(port.ReplanStore):
    """In the role `app`. Locks the wave, then the task, then the audit's head, as the Judge does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(  # noqa: D102
        self, wave: WaveRef, lease_token: UUID, lease_seconds: float, planners: Collection[str]
    ) -> ReplanJob | None:
        values = scope_of(wave) | {"token": lease_token, "seconds": lease_seconds, "planners": list(planners)}
        with self._database.transaction(wave.tenant_id) as connection:
            lock_wave(connection, wave)
            row = connection.execute(_SQL["begin"], values).fetchone()
            if row is None:
                return None
            connection.execute(_SQL["look_later"], scope_of(wave) | {"seconds": RESEND_SECONDS})
            asked = {"try": row["tries"], "skill": row["skill"], "reasons": row["feedback"] or []}
            _record(
                connection,
                wave,
                row["task_id"],
                AuditKind.PLAN_REPLAN_ASKED,
                _place(row["attempt"], row["depth"]) | asked,
            )
        return _job(wave, row)

    def renew(  # noqa: D102
        self, wave: WaveRef, task_id: UUID, lease_token: UUID, lease_seconds: float
    ) -> Renewal:
        values = _held(wave, task_id, lease_token) | {"seconds": lease_seconds}
        with self._database.transaction(wave.tenant_id) as connection:
            held = connection.execute(_SQL["renew"], values).fetchone() is not None
        return Renewal(held=held, may_start=held)

    def save(self, wave: WaveRef, task_id: UUID, lease_token: UUID, replanned: Replanned) -> bool:  # noqa: D102
        values = _held(wave, task_id, lease_token) | {"timeout": replanned.timeout_seconds}
        values |= {"skill": replanned.skill, "input": replanned.input}
        answer = {"skill": replanned.skill, "input_sha256": sha256(replanned.input).hex()}
        with self._database.transaction(wave.tenant_id) as connection:
            lock_wave(connection, wave)
            saved = _answered(connection, wave, task_id, connection.execute(_SQL["save"], values), "task", answer)
            if saved:
                connection.execute(_SQL["send_wave"], scope_of(wave))
            failpoint(Failpoint.REPLAN_SAVING, wave.tenant_id)
        return saved

    def give_up(self, wave: WaveRef, task_id: UUID, lease_token: UUID, failure: str | None) -> bool:  # noqa: D102
        values = _held(wave, task_id, lease_token) | {"failure": failure}
        kind, why = ReplanState.GIVEN_UP, {}
        if failure is not None:
            kind, why = ReplanState.FAILED, {"failure": failure, "again": False}
        with self._database.transaction(wave.tenant_id) as connection:
            return _answered(connection, wave, task_id, connection.execute(_SQL["give_up"], values), kind, why)

    def postpone(  # noqa: D102
        self, wave: WaveRef, task_id: UUID, lease_token: UUID, failure: str, seconds: float
    ) -> bool:
        values = _held(wave, task_id, lease_token) | {"seconds": seconds}
        why = {"failure": failure, "again": True}
        with self._database.transaction(wave.tenant_id) as connection:
            lock_wave(connection, wave)
            connection.execute(_SQL["look_sooner"], values)
            return _answered(
                connection, wave, task_id, connection.execute(_SQL["postpone"], values), ReplanState.FAILED, why
            )


def _answered(
    connection: Connection[DictRow],
    wave: WaveRef,
    task_id: UUID,
    changed: Cursor[DictRow],
    kind: str,
    answer: dict[str, Any],
) -> bool:
    """Records what the planner answered, where that changed the task; returns whether it did."""
    row = changed.fetchone()
    if row is None:
        return False
    facts = _place(row["attempt"], row["replans"]) | {"answer": kind} | answer
    _record(connection, wave, task_id, AuditKind.PLAN_REPLAN_ANSWERED, facts)
    return True


def _place(attempt: int, depth: int) -> dict[str, Any]:
    return {"attempt": attempt, "depth": depth}


def _record(
    connection: Connection[DictRow], wave: WaveRef, task_id: UUID, kind: AuditKind, facts: dict[str, Any]
) -> None:
    event = AuditEvent(kind=kind, actor="planner", plan_id=wave.plan_id, task_id=task_id, facts=facts)
    append(connection, wave.tenant_id, [event])


def _job(wave: WaveRef, row: DictRow) -> ReplanJob:
    outcome = row["outcome"]
    denied = {name: row[name] for name in _OF_TASK} | {
        "tenant_id": wave.tenant_id,
        "plan_id": wave.plan_id,
        "feedback": row["feedback"] or (),
        "output": outcome.get("output") if isinstance(outcome, dict) else None,
    }
    return ReplanJob(
        planner=row["planner"],
        denied=DeniedTask.model_validate(denied, strict=False),
        tries=row["tries"],
        state_key=row["state_key"],
        timeout_seconds=row["timeout_seconds"],
        trace_id=row["trace_id"],
    )


_OF_TASK = ("task_id", "goal", "inputs", "skill", "input", "attempt", "max_attempts", "depth")


def _held(wave: WaveRef, task_id: UUID, lease_token: UUID) -> dict[str, Any]:
    return scope_of(wave) | {"task": task_id, "token": lease_token}
