"""Changing shared state: a step of deciding transactions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import columns, statements
from chimera.models.gate.deciding import WaveDecision, state_writes
from chimera.models.record import canonical_json

_SQL = statements("shared_state")


def write_state(
    connection: psycopg.Connection[DictRow], scope: dict[str, Any], decisions: Sequence[WaveDecision]
) -> tuple[dict[UUID, int], list[WaveDecision]]:
    """Changes shared state as the decisions say.

    Returns the version that each task's approval made, and the decisions: where an entry was not at the version that
    the task saw, or the task is not open any more, with their second ruling.

    Raises:
        StateChanged: one of these has none.
    """
    asking = [item.decision.task_id for item in decisions if item.state is not None]
    if not asking:
        return {}, list(decisions)
    # Read, not computed in SQL: PostgreSQL's JSON operators do not take every text that JSON can hold.
    outputs = {
        row["task_id"]: canonical_json(row["outcome"]["output"])
        for row in connection.execute(_SQL["outputs"], scope | {"task_ids": asking})
    }
    rows = [
        (key, outputs[item.decision.task_id], item.decision.task_id)
        # In one order, so that two waves do not wait for each other.
        for key, item in sorted(state_writes(decisions, outputs).items())
        if item.state is not None
    ]
    versions: dict[UUID, int] = {}
    if rows:
        written = connection.execute(_SQL["write_state"], columns(rows, "keys values task_ids"))
        versions = {row["task_id"]: row["version"] for row in written}
    return versions, [item if item.decision.task_id in versions else item.where_state_changed() for item in decisions]
