"""The functions that write budgets take nothing of what they write from who calls them."""

from decimal import Decimal

import pytest
from psycopg import errors

from tests.attacks.login.test_budget import Purse, done, purse
from tests.contract.direct import Session

__all__ = ["purse"]

ASIDE = "select reserved_usd, reserved_tokens, spent_usd, limit_usd from budget order by account"
ASKED = {
    "what runs is settled as if it were over": "select settle_budget('{plan_id}', array['{running}']::uuid[])",
    "what waits to run is settled": "select settle_budget('{plan_id}', array['{queued}']::uuid[])",
    "more than is left": "select budget_accounts(array['{plan_id}']::uuid[]); "
    "select set_aside(array['{waiting}']::uuid[], array['echo'])",
    "what is set aside already": "select set_aside(array['{queued}']::uuid[], array['echo'])",
    "for a skill that costs nothing": "select set_aside(array['{waiting}']::uuid[], array['cheap'])",
    "what runs is refused": "select mark_over_budget(array['{running}']::uuid[], array['budget.day'])",
    "what fits is refused": "select mark_over_budget(array['{queued}']::uuid[], array['budget.plan'])",
    "by a limit that nobody has": "select mark_over_budget(array['{queued}']::uuid[], array['budget.eve'])",
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("role", ["app", "judge"])
def test_functions_take_nothing_from_who_asks(session: Session, purse: Purse, role: str, what: str) -> None:
    tasks = "select task_id, skill, over_budget, reserved_usd from task order by task_id"
    with session(role, purse.tenant_id) as connection:
        before = connection.execute(ASIDE).fetchall(), connection.execute(tasks).fetchall()
        done(connection, purse, ASKED[what])
        assert (connection.execute(ASIDE).fetchall(), connection.execute(tasks).fetchall()) == before


@pytest.mark.parametrize("what", ASKED)
def test_a_worker_may_not_ask(session: Session, purse: Purse, what: str) -> None:
    with session("worker", purse.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(purse.filled(ASKED[what]))


def test_an_attempt_counts_in_its_day_however_the_caller_writes_dates(session: Session, purse: Purse) -> None:
    spent = "select split_part(account, ':', 1), spent_usd from budget order by account"
    with session("owner", purse.tenant_id) as connection:
        connection.execute("set local datestyle = 'German'")
        assert done(connection, purse, "update task set state = 'staged' where task_id = '{running}'")
        assert done(connection, purse, "select settle_budget('{plan_id}', array['{running}']::uuid[])")
        assert connection.execute(spent).fetchall() == [("day", Decimal("0.5")), ("plan", Decimal("0.5"))]
