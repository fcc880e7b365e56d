"""What the journals say against what the database says: what was promised, and what was run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from chimera.chaos.invariants import Harm, Violation
from chimera.chaos.journal import read

_PLANS = "select plan_id, state, task_count from plan where tenant_id = %s"
_TASKS = """
select t.task_id, t.state, t.attempt::int, t.input ->> 'nonce' as nonce
  from task t where t.tenant_id = %s
"""


class Evidence:
    """What is compared. Both journals are read when it is made."""

    def __init__(self, connection: psycopg.Connection[Any], told: Path, runs: Path) -> None:
        self._connection = connection
        self._told = told
        self._runs = Counter(str(entry["nonce"]) for entry in read(runs, "run"))
        # Where the tasks of all tenants are, by state.
        self.ends: Counter[str] = Counter()
        self.runs = self._runs.total()

    def check(self, tenants: Iterable[str]) -> list[Violation]:
        """What was promised and is not so, and what ran more often than it was claimed."""
        return [found for tenant in tenants for found in self._of(tenant)]

    def _of(self, tenant: str) -> Iterator[Violation]:
        plans = {row["plan_id"].hex: row for row in self._rows(_PLANS, tenant)}
        tasks = {row["task_id"].hex: row for row in self._rows(_TASKS, tenant)}
        self.ends.update(row["state"] for row in tasks.values())
        for entry in self._entries("plan", tenant):
            plan = plans.get(entry["plan"])
            if plan is None:
                yield _lost(
                    "plan_forgotten", "A plan that was acknowledged is there.", tenant, entry["plan"], "missing"
                )
            elif plan["state"] in {"completed", "completed_with_failures"} and plan["task_count"] != entry["tasks"]:
                what = f"{plan['task_count']} of {entry['tasks']} tasks"
                yield _lost("plan_cut_short", "A plan has the tasks that were asked for.", tenant, entry["plan"], what)
        for entry in self._entries("cancelled", tenant):
            state = plans.get(entry["plan"], {}).get("state", "missing")
            if state not in {"cancelled", "stopping"}:
                sentence = "A plan whose cancelling was acknowledged is cancelled."
                yield _lost("cancelling_forgotten", sentence, tenant, entry["plan"], state)
        for entry in self._entries("reviewed", tenant):
            state = tasks.get(entry["task"], {}).get("state", "missing")
            if state != entry["status"]:
                sentence = "A person's decision that was acknowledged holds."
                yield _lost("decision_forgotten", sentence, tenant, entry["task"], f"{entry['status']}, is {state}")
        for task_id, task in tasks.items():
            yield from self._of_task(tenant, task_id, task)

    def _of_task(self, tenant: str, task_id: str, task: dict[str, Any]) -> Iterator[Violation]:
        runs = self._runs[task["nonce"]]
        if runs > task["attempt"]:
            sentence = "A task runs at most once in each attempt."
            what = f"{runs} runs in {task['attempt']} attempts"
            yield _violation("run_without_a_claim", sentence, Harm.DUPLICATED, tenant, task_id, what)
        if not runs and task["state"] == "approved":
            sentence = "Nothing is committed that never ran."
            yield _violation("commit_of_nothing", sentence, Harm.BROKEN, tenant, task_id, "never ran")

    def _entries(self, what: str, tenant: str) -> Iterator[dict[str, Any]]:
        return (entry for entry in read(self._told, what) if entry["tenant"] == tenant)

    def _rows(self, statement: str, tenant: str) -> list[dict[str, Any]]:
        with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select set_config('chimera.tenant', %s, true)", [tenant])
            return cursor.execute(statement, [tenant]).fetchall()


def _lost(name: str, sentence: str, tenant: str, what_id: str, what: str) -> Violation:
    return _violation(name, sentence, Harm.LOST, tenant, what_id, what)


def _violation(name: str, sentence: str, harm: Harm, tenant: str, what_id: str, what: str) -> Violation:
    return Violation(invariant=name, sentence=sentence, harm=harm, tenant_id=tenant, id=what_id, what=what)
