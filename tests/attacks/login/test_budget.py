"""Somebody has one login, and wants to spend more than the budget leaves, or that others can spend nothing."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from chimera.models.gate.policy import Amount, Budget, Policy, SkillPolicy
from tests.conftest import new_tenant_id
from tests.contract.direct import Session
from tests.contract.scene import Scene
from tests.contract.worlds import PostgresWorld


@dataclass(frozen=True)
class Purse:
    """A tenant of a dollar a day, of which all is set aside: a running task and a queued one, and one that waits."""

    tenant_id: str
    plan_id: UUID
    running: UUID
    queued: UUID
    waiting: UUID

    def filled(self, statement: str) -> bytes:
        """A statement with the ids in their places."""
        return statement.format(tenant=self.tenant_id, **vars(self)).encode()


@pytest.fixture(scope="module")
def purse(postgres_world: PostgresWorld) -> Purse:
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    scene = Scene(postgres_world, tenant_id)
    half, dollar = Amount(cost_usd=Decimal("0.50"), tokens=50), Amount(cost_usd=Decimal(1), tokens=100)
    policy = Policy(
        name="purse", defaults=SkillPolicy(reserve=half), budget=Budget(day=dollar, plan=dollar, task=dollar)
    )
    postgres_world.policy_changes.apply(tenant_id, policy, "tests")
    planned = scene.plan(3)
    scene.send()
    running, queued, waiting = planned.ids
    scene.claim(planned.wave, [running], lease_seconds=3600)
    return Purse(tenant_id, planned.plan_id, running, queued, waiting)


BY_BOTH = {
    "nothing is set aside any more": "update budget set reserved_usd = 0",
    "no token is set aside any more": "update budget set reserved_tokens = 0",
    "no limit any more": "update budget set limit_usd = null",
    "no limit of tokens any more": "update budget set limit_tokens = null",
    "a limit of a thousand": "update budget set limit_usd = 1000",
    "all of tomorrow's is taken": """insert into budget (tenant_id, account)
        values ('{tenant}', 'day:' || (current_date + 1))""",
    "what others can use is taken": "update budget set limit_usd = 0",
    "a task that holds nothing": "update task set reserved_for = null where task_id = '{queued}'",
    "a task that holds less": "update task set reserved_usd = 0 where task_id = '{queued}'",
    "a task that holds fewer tokens": "update task set reserved_tokens = 0 where task_id = '{queued}'",
    "another day's": "update task set reserved_on = reserved_on - 1 where task_id = '{queued}'",
    "a task that waits for its turn": """update task set reserved_for = attempt + 1, reserved_usd = 0,
        reserved_tokens = 0, reserved_on = current_date where task_id = '{waiting}'""",
    "a task that fits is refused": "update task set over_budget = 'budget.day' where task_id = '{queued}'",
    "another skill in the name of a cheaper one": """update task set skill = 'dear', degraded_from = skill
        where task_id = '{queued}'""",
}
BY_JUDGE = {
    "nothing was spent": "update budget set spent_usd = 1; update budget set spent_usd = 0",
    "all of it was spent": "update budget set spent_usd = 1",
    "all tokens were spent": "update budget set spent_tokens = 100",
    "nothing was spent beyond": "update budget set overrun_usd = 0",
    "a task that cost nothing": "update task set spent_usd = 0 where task_id = '{running}'",
    "a task that cost all": "update task set spent_usd = 1 where task_id = '{queued}'",
}


def done(connection: "Connection[TupleRow]", purse: Purse, statement: str) -> bool:
    """Whether the statement was taken and changed something."""
    try:
        with connection.transaction():
            return connection.execute(purse.filled(statement)).rowcount > 0
    except psycopg.Error:
        return False


@pytest.mark.parametrize("what", BY_BOTH)
@pytest.mark.parametrize("role", ["app", "judge"])
def test_no_login_writes_what_is_set_aside(session: Session, purse: Purse, role: str, what: str) -> None:
    with session(role, purse.tenant_id) as connection:
        assert not done(connection, purse, BY_BOTH[what])


@pytest.mark.parametrize("what", BY_JUDGE)
def test_a_judge_s_login_does_not_write_what_was_spent(session: Session, purse: Purse, what: str) -> None:
    with session("judge", purse.tenant_id) as connection:
        assert not done(connection, purse, BY_JUDGE[what])
