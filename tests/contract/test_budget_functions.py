"""The functions that write budgets take nothing of what they write from who calls them."""

import pytest

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
@pytest.mark.parametrize("role", ["app", "worker", "judge"])
def test_functions_take_nothing_from_who_asks(session: Session, purse: Purse, role: str, what: str) -> None:
    tasks = "select task_id, skill, over_budget, reserved_usd from task order by task_id"
    with session(role, purse.tenant_id) as connection, session("owner", purse.tenant_id) as reader:
        before = reader.execute(ASIDE).fetchall(), reader.execute(tasks).fetchall()
        done(connection, purse, ASKED[what])
        if role != "worker":  # which reads no budget
            assert connection.execute(ASIDE).fetchall() == before[0]
        assert connection.execute(tasks).fetchall() == before[1]
