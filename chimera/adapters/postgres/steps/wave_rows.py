"""Rows of waves: how they are named and locked."""

from typing import Any

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import statements
from chimera.models.work.wave import WaveRef

_SQL = statements("wave_rows")


def scope_of(wave: WaveRef) -> dict[str, Any]:
    """Which wave, as the statements name it."""
    return {"tenant": wave.tenant_id, "plan": wave.plan_id, "wave_no": wave.wave_no}


def lock_wave(connection: psycopg.Connection[DictRow], wave: WaveRef) -> None:
    """Locks a wave: the first lock of a transaction that decides on its tasks or has them planned again."""
    connection.execute(_SQL["lock_wave"], scope_of(wave))


def lock_plan(connection: psycopg.Connection[DictRow], wave: WaveRef) -> DictRow | None:
    """Locks the wave's plan; returns its `state` and `stop_state`."""
    return connection.execute(_SQL["lock_plan"], scope_of(wave)).fetchone()
