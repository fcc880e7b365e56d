"""Somebody has one login, and wants the audit to say what is not so, or to stop a tenant for good."""

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.contract.direct import History, Session

# An entry that continues the chain, with what is right in every column but those that an attack names.
ENTRY = """
insert into audit (tenant_id, seq, at, kind, actor, plan_id, task_id, body, payload, hash)
select tenant_id, seq + 1, {at}, '{kind}', {actor}, {plan}, {task}, {body}, {payload}, {hash} from audit_head
 where tenant_id = '{tenant}'
"""
RIGHT = {
    "at": "clock_timestamp()",
    "kind": "access.refused",
    "actor": "'eve'",
    "plan": "null::uuid",
    "task": "null::uuid",
    "body": "'{}'",
    "payload": "'{}'",
    "hash": "sha256(hash || convert_to('{}', 'UTF8'))",
}
ASKED = (
    "select before from append_audit(array['{kind}'], array[{actor}], array[{plan}], array[{task}], array[{payload}])"
)
PLAN = "'{plan_id}'::uuid"

# What nobody may write, whatever it is about.
OF_NOBODY: dict[str, dict[str, str]] = {
    "a random hash": {"hash": "sha256('eve')"},
    "a text of nothing": {"hash": "sha256('')", "body": "''"},
    "the end of time": {"at": "'infinity'"},
    "before all time": {"at": "'-infinity'"},
    "2001": {"at": "'2001-01-01'"},
    "2200": {"at": "'2200-01-01'"},
}
# What this login may not say: an entry that the chain takes, if who writes it is not asked.
SAYS: dict[str, dict[str, dict[str, str]]] = {
    "app": {
        "the judge's name": {"kind": "plan.cancelled", "actor": "'judge'", "plan": PLAN},
        "the policy's name": {"kind": "audit.read", "actor": "'policy'"},
        "the sweep's name": {"kind": "plan.expired", "actor": "'sweep'", "plan": PLAN},
        "a name that clears the terminal": {"kind": "audit.read", "actor": r"E'ann\x1b[2J'"},
        "a name of two lines": {"kind": "audit.read", "actor": r"E'ann\n12 task.decided ann'"},
        "the end of a plan that runs": {"kind": "plan.completed", "actor": "'planner'", "plan": PLAN},
        "the stop of a plan that runs": {"kind": "plan.cancelled_asked", "plan": PLAN},
        "a pause that is none": {"kind": "plan.paused", "plan": PLAN},
        "a plan that was submitted twice": {"kind": "plan.submitted", "actor": "'app'", "plan": PLAN},
        "a plan that nobody has": {"kind": "plan.cancelled", "plan": "gen_random_uuid()"},
        "what happened to no plan": {"kind": "plan.cancelled"},
        "a session that nobody has": {"kind": "session.stopped", "payload": """'{"session_id":"none"}'"""},
        "facts that are none": {"kind": "audit.read", "payload": "'['"},
    },
    "judge": {
        "a tenant": {"kind": "tenant.added"},
        "a policy": {"kind": "policy.applied"},
        "an erasure": {"kind": "audit.erased", "payload": """'{"entries":[[1,9]]}'"""},
        "more of a budget": {"kind": "budget.allowed"},
        "a plan that was submitted": {"kind": "plan.submitted", "plan": PLAN},
        "the stop of a session": {"kind": "session.stopped", "payload": """'{"session_id":"s"}'"""},
        "that somebody cancelled": {"kind": "plan.cancelled_asked", "actor": "'ann'", "plan": PLAN},
        "the end of a plan that runs": {"kind": "plan.completed", "actor": "'judge'", "plan": PLAN},
        "a kind that nobody knows": {"kind": "audit.verified"},
    },
}


def written(connection: "Connection[TupleRow]", statement: str) -> bool:
    """Whether the statement was taken."""
    try:
        with connection.transaction():
            found = connection.execute(statement.encode())
            return found.rowcount > 0
    except psycopg.Error:
        return False


def filled(text: str, history: History, **values: str) -> str:
    values = {name: value.replace("{plan_id}", str(history.plan_id)) for name, value in (RIGHT | values).items()}
    return text.format(tenant=history.tenant_id, **values)


@pytest.mark.parametrize("what", OF_NOBODY)
@pytest.mark.parametrize("role", ["app", "judge"])
def test_no_login_writes_the_chain_by_itself(session: Session, history: History, role: str, what: str) -> None:
    with session(role, history.tenant_id) as connection:
        assert not written(connection, filled(ENTRY, history, **OF_NOBODY[what]))


@pytest.mark.parametrize(("role", "what"), [(role, what) for role, says in SAYS.items() for what in says])
def test_no_login_says_what_is_not_its_to_say_or_not_so(
    session: Session, history: History, role: str, what: str
) -> None:
    values = SAYS[role][what]
    with session(role, history.tenant_id) as connection:
        assert not written(connection, filled(ENTRY, history, **values))
        assert not written(connection, filled(ASKED, history, **values))


@pytest.mark.parametrize("role", ["app", "judge"])
def test_no_login_stops_a_tenant_by_a_time_to_come(session: Session, history: History, role: str) -> None:
    """Whatever is the last entry's time, the next one is of the server's clock."""
    with session(role, history.tenant_id) as connection:
        written(connection, filled(ENTRY, history, at="'2200-01-01'"))
        rows = connection.execute("select at > clock_timestamp() from audit order by seq desc limit 1").fetchall()
    assert rows == [(False,)]


@pytest.mark.parametrize("role", ["app", "worker", "judge"])
def test_no_login_fills_the_disk_with_tables_of_its_own(session: Session, role: str) -> None:
    with session(role) as connection:
        assert not written(connection, "create temporary table mine as select generate_series(1, 10)")
