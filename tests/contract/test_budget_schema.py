"""Budgets: what the schema itself refuses to direct SQL."""

from collections.abc import Iterator

import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from tests.contract.direct import History, Session


@pytest.fixture
def budget(session: Session, history: History) -> Iterator["Connection[TupleRow]"]:
    """The owner's session, with an account of a dollar and of 10 tokens, of which half is set aside."""
    with session("owner", history.tenant_id) as connection:
        connection.execute(
            "insert into budget (tenant_id, account, limit_usd, limit_tokens) values (%s, 'day:2000-01-01', 1, 10)",
            [history.tenant_id],
        )
        connection.execute("update budget set reserved_usd = 0.5, reserved_tokens = 5 where account = 'day:2000-01-01'")
        yield connection


@pytest.mark.parametrize(
    "change",
    [
        "reserved_usd = 1.000000001",
        "reserved_tokens = 11",
        "reserved_usd = 0.6, spent_usd = 0.41",
        "reserved_tokens = 6, spent_tokens = 9223372036854775807",
        "reserved_usd = 0.6, limit_usd = 0.5",
        "reserved_usd = -0.01",
        "plan_id = gen_random_uuid()",
        "account = 'day:'",
    ],
)
def test_no_more_is_set_aside_than_a_limit_leaves(budget: "Connection[TupleRow]", change: str) -> None:
    with pytest.raises(errors.CheckViolation):
        budget.execute(f"update budget set {change} where account = 'day:2000-01-01'".encode())


@pytest.mark.parametrize(
    "change",
    [
        "reserved_usd = 1, reserved_tokens = 10",
        "reserved_usd = 1.5, allowed_usd = 0.5",
        "reserved_usd = 1000, limit_usd = null",
        "reserved_usd = 0.4, spent_usd = 2",  # a result that reports more than was set aside
        "limit_usd = 0.1",  # a policy that allows less from now on
    ],
)
def test_what_fits_and_what_is_settled_is_written(budget: "Connection[TupleRow]", change: str) -> None:
    budget.execute(f"update budget set {change} where account = 'day:2000-01-01'".encode())


@pytest.mark.parametrize("role", ["app", "judge"])
def test_accounts_are_opened_of_the_tenant_s_own_plans_only(
    session: Session, history: History, other: str, role: str
) -> None:
    def accounts(connection: "Connection[TupleRow]") -> list[tuple[str, bool]]:
        connection.execute("select budget_accounts(%s)", [[history.plan_id]])
        rows = connection.execute(
            "select tenant_id, plan_id is null from budget where plan_id = %s or account = 'day:' "
            "|| to_char(now() at time zone 'UTC', 'YYYY-MM-DD') order by account",
            [history.plan_id],
        )
        return [(row[0], row[1]) for row in rows]

    with session(role, other) as connection:
        assert accounts(connection) == [(other, True)]
    with session(role, history.tenant_id) as connection:
        assert accounts(connection) == [(history.tenant_id, True), (history.tenant_id, False)]


def test_an_account_begins_empty(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        connection.execute(
            "insert into budget (tenant_id, account, limit_usd, reserved_usd) values (%s, 'day:2000-01-01', 1, 1)",
            [history.tenant_id],
        )


@pytest.mark.parametrize("change", ["skill = 'other'", "skill = 'other', degraded_from = skill", "replan = 'given_up'"])
def test_who_plans_gives_a_task_no_other_work(session: Session, history: History, change: str) -> None:
    with session("app", history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege, match="asked"):
        connection.execute(f"update task set {change} where task_id = %s".encode(), [history.queued])
