"""Tasks as workers see them, in PostgreSQL."""

from collections.abc import Collection, Sequence
from uuid import UUID

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps.wave_rows import scope_of
from chimera.failpoints import Failpoint, failpoint
from chimera.models.work.lease import Renewal
from chimera.models.work.result import Result
from chimera.models.work.task import ClaimedTask
from chimera.models.work.wave import WaveRef
from chimera.ports import work_store as port

_SQL = statements("work_store")


class WorkStore(port.WorkStore):
    """In the role `worker`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(  # noqa: D102  see the port
        self,
        wave: WaveRef,
        task_ids: Sequence[UUID],
        agent_id: UUID,
        lease_token: UUID,
        lease_seconds: float,
        skills: Collection[str],
    ) -> list[ClaimedTask]:
        values = scope_of(wave) | {
            "task_ids": list(task_ids),
            "agent": agent_id,
            "token": lease_token,
            "seconds": lease_seconds,
            "skills": list(skills),
        }
        with self._database.transaction(wave.tenant_id) as connection:
            rows = connection.execute(_SQL["claim"], values).fetchall()
        rows.sort(key=lambda row: row["ordinal"])
        return [
            ClaimedTask(
                task_id=row["task_id"],
                skill=row["skill"],
                input=row["input"],
                attempt=row["attempt"],
                max_attempts=row["max_attempts"],
                timeout_seconds=row["timeout_seconds"],
                feedback=row["feedback"],
                state_key=row["state_key"],
                state_value=row["state_value"],
                state_version=row["state_version"],
                unmet_dependencies=tuple(row["unmet_dependencies"] or ()),
                trace_id=row["trace_id"],
            )
            for row in rows
        ]

    def give_back(self, wave: WaveRef, task_ids: Sequence[UUID], skills: Collection[str]) -> list[str]:  # noqa: D102
        values = scope_of(wave) | {"task_ids": list(task_ids), "skills": list(skills)}
        with self._database.transaction(wave.tenant_id) as connection:
            return sorted(row["skill"] for row in connection.execute(_SQL["give_back"], values))

    def renew(self, wave: WaveRef, lease_token: UUID, lease_seconds: float) -> Renewal:  # noqa: D102
        values = {"token": lease_token, "seconds": lease_seconds}
        with self._database.transaction(wave.tenant_id) as connection:
            rows = connection.execute(_SQL["renew"], scope_of(wave) | values).fetchall()
        return Renewal(held=bool(rows), may_start=any(row["may_start"] for row in rows))

    def release(self, wave: WaveRef, lease_token: UUID, task_ids: Sequence[UUID]) -> None:  # noqa: D102
        values = {"token": lease_token, "task_ids": list(task_ids)}
        with self._database.transaction(wave.tenant_id) as connection:
            connection.execute(_SQL["release"], scope_of(wave) | values)

    def stage(  # noqa: D102
        self, wave: WaveRef, agent_id: UUID, lease_token: UUID, results: Sequence[Result]
    ) -> int:
        rows = [
            (
                result.task_id,
                result.attempt,
                result.outcome,
                result.sha256,
                result.usage.tokens,
                result.usage.cost_usd,
                result.started_at,
                result.finished_at,
                result.fingerprint,
            )
            for result in results
        ]
        arrays = columns(rows, "task_ids attempts outcomes hashes tokens costs started finished fingerprints")
        scope = scope_of(wave) | {"agent": agent_id, "token": lease_token}
        with self._database.transaction(wave.tenant_id) as connection:
            stored = connection.execute(_SQL["stage"], scope | arrays).fetchall()
            failpoint(Failpoint.WORK_STAGING, wave.tenant_id)
        return len(stored)
