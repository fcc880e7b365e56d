"""The time to recover: how long until the work that was under way when a fault struck is going on.

Under way are all tasks of waves in flight that are queued, running or staged, all plans that wait for their
planner and all that stop. A queued or running task goes on when a result of a new attempt is staged, or it has
ended; a staged one when it is decided; a plan when it is planned, or has stopped. So the time of a skill that has
to run again counts, and so does a task that was queued behind others.
"""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import read_statements
from chimera.models.record import Record

LOOK_SECONDS = 0.1
_SQL = {statement.name: statement.sql for statement in read_statements("chimera.chaos", "recovery.sql")}


class UnderWay(Record):
    """What was under way, in columns as `unnest` takes them."""

    task_ids: list[Any]
    states: list[str]
    attempts: list[int]
    plan_ids: list[Any]
    plan_states: list[str]

    @property
    def size(self) -> int:
        """Tasks and plans."""
        return len(self.task_ids) + len(self.plan_ids)


class Watch:
    """Looks at the database of a swarm, also while it comes and goes."""

    def __init__(self, connect: Callable[[], psycopg.Connection[DictRow]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[DictRow] | None = None

    def rows(self, statement: str, values: dict[str, Any] | None = None) -> list[DictRow] | None:
        """The rows of one of the statements; None where PostgreSQL does not answer."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            return self._connection.execute(_SQL[statement], values).fetchall()
        except psycopg.OperationalError:
            self.close()
            return None

    def open_plans(self) -> int | None:
        """How many plans have not ended; None where PostgreSQL does not answer."""
        rows = self.rows("open_plans")
        return None if rows is None else rows[0]["open"]

    def under_way(self) -> UnderWay | None:
        """What is under way now."""
        tasks, plans = self.rows("tasks_under_way"), self.rows("plans_under_way")
        if tasks is None or plans is None:
            return None
        return UnderWay(
            task_ids=[row["task_id"] for row in tasks],
            states=[row["state"] for row in tasks],
            attempts=[row["attempt"] for row in tasks],
            plan_ids=[row["plan_id"] for row in plans],
            plan_states=[row["state"] for row in plans],
        )

    def await_moved(self, before: UnderWay, bound_seconds: float) -> bool:
        """Returns when all of it is going on; False where that takes longer than the bound."""
        deadline = time.monotonic() + bound_seconds
        values = before.model_dump()
        while time.monotonic() < deadline:
            rows = self.rows("standing_still", values)
            if rows is not None and not rows[0]["still"]:
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def close(self) -> None:
        """Lets go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
