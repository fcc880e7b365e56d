"""The steps of other stores' transactions that set aside, and settle, what tasks cost.

Every transaction takes these locks in this order: waves, tasks, accounts (a tenant's days, then its plans), the
audit's head. Plans that are paused here are not waited for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow

from chimera.adapters.postgres.database import columns, statements
from chimera.adapters.postgres.steps.chain import append
from chimera.adapters.postgres.steps.policy_in_force import in_force
from chimera.models.audit.audit import AuditEvent
from chimera.models.budget.budget import (
    Account,
    Allotment,
    Asking,
    Sum,
    allot,
    overrun,
    reached,
    with_allowed,
)
from chimera.models.gate.policy import Amount, Budget

_SQL = statements("reservations")

Connection = psycopg.Connection[DictRow]
Place = tuple[UUID, int]  # a wave's plan and number


@dataclass
class ReservedWaves:
    """Waves with what there is to send of them."""

    tasks: dict[Place, list[DictRow]] = field(default_factory=dict)
    # Waves with tasks that the Judge has to deny.
    refused: set[Place] = field(default_factory=set)
    # The traces of their plans' requests.
    traces: dict[Place, str] = field(default_factory=dict)


def take(connection: Connection, tenant_id: str, taken: Sequence[DictRow]) -> ReservedWaves:
    """Sets aside what the queued tasks of these waves, and of those that wait, need; says what can be sent now."""
    waiting = connection.execute(_SQL["waiting_waves"], {"tenant": tenant_id}).fetchall()
    new = {_place(row) for row in taken}
    waiting = [row for row in waiting if _place(row) not in new]
    if not new and not waiting:
        return ReservedWaves()
    rows = sorted([*taken, *waiting], key=lambda row: (-row["priority"], row["plan_id"], row["wave_no"]))
    places = [_place(row) for row in rows]
    scope = {"tenant": tenant_id} | columns(places, "plans wave_nos")
    asking = connection.execute(_SQL["asking"], scope).fetchall()
    done = _Allotting(connection, tenant_id).allot(asking) if asking else None
    granted = {grant.task_id for grant in done.granted} if done else set()
    served = granted | ({refusal.task_id for refusal in done.refused} if done else set())
    got = {_place(row) for row in asking if row["task_id"] in granted}
    waits = {_place(row) for row in asking if row["task_id"] not in served}
    notes = [(*place, place in waits, place in got and place not in new) for place in places]
    connection.execute(_SQL["note_waves"], {"tenant": tenant_id} | columns(notes, "plans wave_nos waits again"))
    found = ReservedWaves(tasks={place: [] for place in places if place in new | got})
    found.traces.update((_place(row), row["trace_id"]) for row in rows)
    for row in connection.execute(_SQL["queued"], scope):
        place = _place(row)
        if row["refused"]:
            found.refused.add(place)
            found.tasks.setdefault(place, [])
        elif place in new or row["task_id"] in granted:
            found.tasks[place].append(row)
    return found


def settle(connection: Connection, plan_id: UUID, over: Sequence[UUID]) -> list[AuditEvent]:
    """Ends the reservations of a plan's tasks whose attempt is over; returns what the audit is to say of it."""
    if not over:
        return []
    row = connection.execute(_SQL["settle"], {"plan": plan_id, "task_ids": list(over)}).fetchone()
    assert row is not None
    beyond = Sum(row["overrun_usd"], row["overrun_tokens"])
    return [overrun(plan_id, beyond)] if beyond else []


def accounts(connection: Connection, tenant_id: str) -> psycopg.Cursor[DictRow]:
    """Asks whether there can be anything to settle: one row with `found`."""
    return connection.execute(_SQL["accounts"], {"tenant": tenant_id})


def look(connection: Connection, tenant_id: str) -> psycopg.Cursor[DictRow]:
    """Asks whether the tenant has a budget: one row with `budgeted`, and whether waves of it wait for one."""
    return connection.execute(_SQL["look"], {"tenant": tenant_id})


def wait_no_more(connection: Connection, tenant_id: str) -> None:
    """Lets go what waited for a budget that does not apply any more."""
    connection.execute(_SQL["wait_no_more"], {"tenant": tenant_id})


def tenants_paused(connection: Connection) -> list[str]:
    """Tenants, of all, with plans that a budget has paused and whose budget may have room again."""
    return [row["tenant_id"] for row in connection.execute(_SQL["tenants_paused"])]


def plans_in_budget(connection: Connection, tenant_id: str) -> list[UUID]:
    """The tenant's plans that a budget has paused and that fit under it again."""
    return [row["plan_id"] for row in connection.execute(_SQL["go_on"], {"tenant": tenant_id})]


class _Allotting:
    """Sets aside for tasks in one transaction."""

    def __init__(self, connection: Connection, tenant_id: str) -> None:
        self._connection = connection
        self._scope: dict[str, Any] = {"tenant": tenant_id}
        self._tenant_id = tenant_id
        self._policy = in_force(connection, tenant_id).policy

    def allot(self, rows: Sequence[DictRow]) -> Allotment:
        """Sets aside, refuses and pauses as the policy says."""
        asking = [
            Asking(row["task_id"], row["plan_id"], row["skill"], Sum(row["spent_usd"], row["spent_tokens"]))
            for row in rows
        ]
        accounts = self._accounts({task.plan_id for task in asking})
        day = accounts.pop(None)
        plans = {plan_id: account for plan_id, account in accounts.items() if plan_id is not None}
        done = allot(self._policy, day, plans, asking)
        self._write(done)
        if events := reached(done):
            append(self._connection, self._tenant_id, events)
        return done

    def _accounts(self, plan_ids: set[UUID]) -> dict[UUID | None, Account]:
        """The accounts of today (None) and of these plans, locked; without what paused plans held."""
        budget = self._policy.budget or Budget()
        rows = self._connection.execute(_SQL["accounts_of"], {"plans": list(plan_ids)})
        return {row["plan_id"]: account_of(row, budget.limit_of(row["plan_id"])) for row in rows}

    def _write(self, done: Allotment) -> None:
        if done.granted:
            arrays = columns([(each.task_id, each.skill) for each in done.granted], "task_ids skills")
            self._connection.execute(_SQL["grant"], arrays)
        if done.refused:
            refusals = [(refusal.task_id, refusal.limit) for refusal in done.refused]
            self._connection.execute(_SQL["refuse"], columns(refusals, "task_ids limits"))
        if done.paused:
            arrays = columns(list(done.paused.items()), "plans limits")
            paused = {row["plan_id"] for row in self._connection.execute(_SQL["pause"], self._scope | arrays)}
            done.paused = {plan_id: limit for plan_id, limit in done.paused.items() if plan_id in paused}


def _place(row: DictRow) -> Place:
    return row["plan_id"], row["wave_no"]


def account_of(row: DictRow, limit: Amount | None) -> Account:
    """An account as it was read, under the limit that the policy names now."""
    return Account(
        limit=with_allowed(limit, Sum(row["allowed_usd"], row["allowed_tokens"])),
        reserved=Sum(row["reserved_usd"], row["reserved_tokens"]),
        spent=Sum(row["spent_usd"], row["spent_tokens"]),
        overrun=Sum(row["overrun_usd"], row["overrun_tokens"]),
    )
