"""The functions that decide, and what they refuse to a login that says otherwise than what became of a task."""

from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from tests.contract.direct import History, Session

DECIDE = """
select refused
  from decide(%(plan)s, 0, array[%(task)s], array[%(attempt)s::smallint], array[%(verdict)s], array[%(sha256)s::bytea],
              array[%(final)s], array[%(reasons)s], array[%(policy)s], array[%(who)s], array[null::uuid],
              array[%(key)s], array[%(version)s::bigint], %(stopping)s, '{}', '{}', '{}', '{}')
"""


@pytest.fixture
def values(session: Session, history: History) -> dict[str, Any]:
    with session("judge", history.tenant_id) as connection:
        row = connection.execute(
            "select t.state_key, coalesce(t.state_version, 0) + 1, y.name || '@v' || y.number || '+' || "
            "left(encode(y.sha256, 'hex'), 8) from task t, policy y where t.task_id = %s order by number desc limit 1",
            [history.staged],
        ).fetchone()
    assert row is not None
    return {
        "plan": history.plan_id, "task": history.staged, "attempt": 1, "verdict": "approve", "final": True,
        "sha256": history.staged_sha256, "reasons": "[]", "policy": row[2], "who": "policy", "key": row[0],
        "version": row[1], "stopping": False,
    }  # fmt: skip


def moved(connection: "Connection[TupleRow]", history: History, to: str = "approved", was: str = "staged") -> int:
    task = {"staged": history.staged, "in_review": history.in_review, "running": history.running}[was]
    move = "select move_tasks(%s, 0, array[%s], 1::smallint, %s, %s, null)"
    return connection.execute(move, [history.plan_id, task, was, to]).rowcount


def test_what_became_of_a_task_is_decided(session: Session, history: History, values: dict[str, Any]) -> None:
    with session("judge", history.tenant_id) as connection:
        assert moved(connection, history) == 1
        assert connection.execute(DECIDE, values).fetchone() == (None,)
        row = connection.execute(
            "select d.decided_at = a.at, c.state_version, a.actor, a.payload from decision d "
            "join commit c using (task_id) join audit a on a.seq = d.audit_seq where d.task_id = %s",
            [history.staged],
        ).fetchone()
    assert row is not None
    assert row[:3] == (True, values["version"], "policy")
    assert f'"policy_version":"{values["policy"]}"' in row[3]


@pytest.mark.parametrize(
    "other",
    [
        {"verdict": "deny"},
        {"verdict": "hitl", "final": False},
        {"attempt": 2},
        {"final": False},
        {"key": "other"},
        {"version": 99},
        {"key": None, "version": None},
        {"reasons": "{}"},
        {"reasons": '["ü"]'},
    ],
    ids=str,
)
def test_nothing_else_is(session: Session, history: History, values: dict[str, Any], other: dict[str, Any]) -> None:
    with session("judge", history.tenant_id) as connection:
        moved(connection, history)
        with pytest.raises(errors.CheckViolation, match="what became of its task"):
            connection.execute(DECIDE, values | other)


def test_the_gate_decides_by_the_policy_in_force(session: Session, history: History, values: dict[str, Any]) -> None:
    with session("judge", history.tenant_id) as connection:
        moved(connection, history)
        assert connection.execute(DECIDE, values | {"policy": "eve@v1+00000000"}).fetchone() == ("policy",)


@pytest.mark.parametrize("who", ["ann", "policy's friend"])
def test_the_judge_decides_in_no_person_s_name(
    session: Session, history: History, values: dict[str, Any], who: str
) -> None:
    with session("judge", history.tenant_id) as connection:
        moved(connection, history)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(DECIDE, values | {"who": who})


@pytest.mark.parametrize(("role", "was"), [("judge", "in_review"), ("review", "staged"), ("review", "running")])
def test_what_waits_for_people_is_theirs_to_move_and_nothing_else_is(
    session: Session, history: History, role: str, was: str
) -> None:
    with session(role, history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege, match="to move"):
        moved(connection, history, "denied", was)


@pytest.mark.parametrize("to", ["denied", "exhausted", "queued", "in_review", "cancelled", "approved"])
def test_a_task_that_was_moved_has_its_decision(session: Session, history: History, to: str) -> None:
    with session("judge", history.tenant_id) as connection:
        assert moved(connection, history, to) == 1
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute("set constraints all immediate")


def test_no_task_is_stopped_of_a_plan_that_goes_on(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        assert connection.execute("select * from stop_tasks(%s, 0)", [history.plan_id]).fetchall() == []


def test_counts_are_those_of_the_tasks(session: Session, history: History) -> None:
    counts = "select approved, denied, exhausted, cancelled, in_review, state from wave where plan_id = %s"
    with session("judge", history.tenant_id) as connection:
        before = connection.execute(counts, [history.plan_id]).fetchall()
        connection.execute("select count_wave(%s, 0, false, false, 1)", [history.plan_id])
        assert connection.execute(counts, [history.plan_id]).fetchall() == before


def test_shared_state_is_what_the_result_says(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("select * from write_state('{k}', array['\"forged\"'], array[%s])", [history.staged])
