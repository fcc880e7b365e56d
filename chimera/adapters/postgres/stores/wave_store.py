"""The outbox of the fan-out, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from psycopg.rows import DictRow

from chimera.adapters.postgres.database import Database, columns, statements
from chimera.adapters.postgres.steps import reservations
from chimera.models.work.timing import SENDER_SECONDS
from chimera.models.work.wave import QueuedTask, WaveRef
from chimera.ports import wave_store as port
from chimera.ports.wave_store import OutgoingWave

_SQL = statements("wave_store")


class WaveStore(port.WaveStore):
    """In the role `app` for the planner, in the role `judge` for the Judge and the sweep."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_next(self, tenant_id: str, window: int) -> list[OutgoingWave]:  # noqa: D102  see the port
        with self._database.transaction(tenant_id) as connection:
            connection.execute(_SQL["lock_tenant"], {"tenant": tenant_id})
            looked = reservations.look(connection, tenant_id)
            values = {"tenant": tenant_id, "window": window, "sender_seconds": SENDER_SECONDS}
            taken = connection.execute(_SQL["take_next"], values).fetchall()
            budget = looked.fetchone()
            assert budget is not None
            if budget["budgeted"]:
                found = reservations.take(connection, tenant_id, taken)
                return [
                    _outgoing(tenant_id, place, rows, found.traces, found.refused)
                    for place, rows in found.tasks.items()
                ]
            if budget["waits"]:
                reservations.wait_no_more(connection, tenant_id)
            if not taken:
                return []
            # An UPDATE returns its rows in any order.
            taken.sort(key=lambda row: (-row["priority"], row["plan_id"], row["wave_no"]))
            traces = {(row["plan_id"], row["wave_no"]): row["trace_id"] for row in taken}
            waves: dict[tuple[UUID, int], list[DictRow]] = {place: [] for place in traces}
            arrays = columns(list(waves), "plans wave_nos")
            for row in connection.execute(_SQL["queued_tasks"], {"tenant": tenant_id} | arrays):
                waves[row["plan_id"], row["wave_no"]].append(row)
        return [_outgoing(tenant_id, place, rows, traces) for place, rows in waves.items()]

    def max_batches(self, skills: Collection[str]) -> dict[str, int]:  # noqa: D102
        with self._database.transaction() as connection:
            rows = connection.execute(_SQL["max_batches"], {"skills": list(skills)})
            return {row["name"]: row["max_batch"] for row in rows}

    def mark_published(  # noqa: D102
        self, waves: Sequence[WaveRef], epoch: str, waiting: Collection[WaveRef] = ()
    ) -> None:
        tenant_id = waves[0].tenant_id
        arrays = columns([(wave.plan_id, wave.wave_no, wave in waiting) for wave in waves], "plans wave_nos waits")
        with self._database.transaction(tenant_id) as connection:
            connection.execute(_SQL["mark_published"], {"tenant": tenant_id, "epoch": epoch} | arrays)


def _outgoing(
    tenant_id: str,
    place: tuple[UUID, int],
    rows: Sequence[DictRow],
    traces: Mapping[tuple[UUID, int], str],
    refused: Collection[tuple[UUID, int]] = (),
) -> OutgoingWave:
    tasks = (QueuedTask.model_validate({name: row[name] for name in QueuedTask.model_fields}) for row in rows)
    wave = WaveRef(tenant_id=tenant_id, plan_id=place[0], wave_no=place[1])
    return OutgoingWave(wave=wave, tasks=tuple(tasks), judge=place in refused, trace_id=traces[place])
