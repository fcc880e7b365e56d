"""Somebody has one login, and wants something decided that nobody decided, or a record that says otherwise."""

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.contract.direct import History, Session

HASH = "(select sha256 from result where task_id = '{staged}' and attempt = 1)"
ENTRY = "(select max(seq) from audit where kind = 'task.decided' and task_id = '{denied}')"
AT = "(select max(at) from audit where kind = 'task.decided' and task_id = '{denied}')"
# Each begins and ends what it does in one transaction, as whoever means to keep it would.
BY_JUDGE = {
    "a result denied without a word": "update task set state = 'denied' where task_id = '{staged}'",
    "a result exhausted": "update task set state = 'exhausted' where task_id = '{staged}'",
    "a task cancelled of a plan that goes on": "update task set state = 'cancelled' where task_id = '{queued}'",
    "a task expired": "update task set state = 'expired' where task_id = '{queued}'",
    "a result thrown away": "update task set state = 'queued' where task_id = '{staged}'",
    "an attempt taken from its agent": "update task set state = 'queued' where task_id = '{running}'",
    "a person's task denied": "update task set state = 'denied' where task_id = '{in_review}'",
    "a result that waits for a person without a card": "update task set state = 'in_review' where task_id = '{staged}'",
    "other feedback": """update task set feedback = '[{{"rule":"eve"}}]' where task_id = '{queued}'""",
    "a lease that never ends": "update task set lease_until = 'infinity' where task_id = '{running}'",
    "a task that its planner is asked about": "update task set replan = 'asked' where task_id = '{queued}'",
    "a task that was sent back as often as may be": "update task set replans = 5 where task_id = '{queued}'",
    "a task that lost its agents": "update task set lost = 100 where task_id = '{queued}'",
    "a task that ended in 2001": "update task set finished_at = '2001-01-01' where task_id = '{denied}'",
    "an approval in the policy's name": f"""insert into decision (tenant_id, task_id, attempt, verdict, result_sha256,
        final, reasons, policy_version, decided_by, decided_at, audit_seq)
        values ('{{tenant}}', '{{denied}}', 1, 'hitl', '', false, '[]', 'p', 'policy', {AT}, {ENTRY})""",
    "a lease that nobody lost": """insert into lost_lease (tenant_id, task_id, attempt, agent_id)
        values ('{tenant}', '{running}', 1, gen_random_uuid())""",
    "a wave with nothing open": "update wave set denied = task_count, approved = 0, in_review = 0, state = 'closed'",
    "a wave with more than it has": "update wave set task_count = task_count + 1",
    "a wave of another place": "update wave set wave_no = wave_no + 100",
    "a wave before all others": "update wave set priority = 100",
    "shared state erased": "update state set value = value, erased_at = null",
}


def done(connection: "Connection[TupleRow]", history: History, statement: str) -> bool:
    """Whether the statement was taken, changed something, and would be kept."""
    ids = {name: str(value) for name, value in vars(history).items()} | {"tenant": history.tenant_id}
    try:
        with connection.transaction():
            changed = connection.execute(statement.format(**ids).encode()).rowcount
            connection.execute("set constraints all immediate")
            return changed > 0
    except psycopg.Error:
        return False


@pytest.mark.parametrize("what", BY_JUDGE)
def test_a_judge_s_login_moves_nothing_by_itself(session: Session, history: History, what: str) -> None:
    with session("judge", history.tenant_id) as connection:
        assert not done(connection, history, BY_JUDGE[what])


def test_a_judge_s_login_closes_no_wave_over_open_tasks(session: Session, history: History) -> None:
    """And so ends no plan of which tasks are still to be done."""
    with session("judge", history.tenant_id) as connection:
        done(connection, history, "update wave set denied = task_count, approved = 0, in_review = 0, state = 'closed'")
        rows = connection.execute(
            "select w.plan_id from wave w where w.state = 'closed' and exists (select from task t "
            "where t.plan_id = w.plan_id and t.wave_no = w.wave_no and t.state in ('queued', 'running', 'staged'))"
        ).fetchall()
    assert rows == []


def test_a_decision_says_of_its_result_what_its_entry_says(session: Session, history: History) -> None:
    """An entry that says that a task was denied, and a decision that approves its result."""
    with session("judge", history.tenant_id) as connection:
        entry = """insert into audit (tenant_id, seq, at, kind, actor, task_id, body, payload, hash)
            select '{tenant}', seq + 1, clock_timestamp(), 'task.decided', 'policy', '{staged}', '{{}}',
                   '{{"verdict":"deny"}}', sha256(hash || convert_to('{{}}', 'UTF8'))
              from audit_head where tenant_id = '{tenant}'"""
        decision = f"""insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons,
            policy_version, decided_by, decided_at, audit_seq)
            select '{{tenant}}', '{{staged}}', 1, 'approve', {HASH}, true, '[]', 'p', 'policy', at, seq
              from audit where tenant_id = '{{tenant}}' order by seq desc limit 1"""
        done(connection, history, entry)
        done(connection, history, decision)
        rows = connection.execute("select task_id from decision where task_id = %s", [history.staged]).fetchall()
    assert rows == []
