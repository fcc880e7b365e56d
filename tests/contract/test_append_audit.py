"""The audit's function: it writes the very text and hash that verifying makes anew, at times that never go back."""

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera.models.audit.audit import AuditEvent, body_of
from chimera.models.audit.kinds import AuditKind
from chimera.models.record import canonical_json
from tests.contract.direct import History, Session
from tests.contract.scene import Scene

# What PostgreSQL's text can hold: no NUL, and no half of a pair.
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["", '"', "\\", "\\u0041", "\x7f", "\x1b[2J", "\u2028", "\ufeff", "\U0001f600", "\ud7ff\ue000", "é\n\t\r\b\f\x01"]
)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(8999, 12, 31)).map(lambda time: time.replace(tzinfo=UTC))  # noqa: DTZ001


def test_the_text_is_that_of_python(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:

        @settings(max_examples=300, deadline=None, database=None)
        @given(TEXTS, st.sampled_from(AuditKind), st.none() | st.uuids(), TEXTS)
        def alike(actor: str, kind: AuditKind, about: UUID | None, fact: str) -> None:
            payload = canonical_json({"fact": fact})
            said = [[kind], [actor], [about], [about], [payload]]
            [(before, at)] = connection.execute("select before, moment from chain_audit(%s, %s, %s, %s, %s)", said)
            row = connection.execute("select body from audit where seq = %s", [before + 1]).fetchone()
            event = AuditEvent(kind=kind, actor=actor, plan_id=about, task_id=about, facts={})
            assert row == (body_of(event, history.tenant_id, before + 1, at, payload),)

        alike()


def test_the_time_is_written_as_python_writes_it(session: Session) -> None:
    with session("owner") as connection:

        @settings(max_examples=300, deadline=None, database=None)
        @given(TIMES)
        def alike(at: datetime) -> None:
            assert connection.execute("select audit_stamp(%s)", [at]).fetchone() == (at.isoformat(),)

        alike()


def test_no_entry_is_before_the_one_before_it(session: Session, history: History) -> None:
    """Whatever the clock did meanwhile."""
    with session("owner", history.tenant_id) as connection:
        connection.execute("alter table audit_head disable trigger audit_head_follows")
        connection.execute("update audit_head set at = clock_timestamp() + interval '1 hour'")
        connection.execute("alter table audit_head enable trigger audit_head_follows")
        before = connection.execute("select greatest(at, clock_timestamp()) from audit_head").fetchone()
        after = connection.execute(
            "select moment from append_audit('{audit.read}', '{ann}', '{null}', '{null}', '{\"{}\"}')"
        ).fetchone()
    assert before is not None
    assert after is not None
    assert after[0] >= before[0]


@pytest.mark.parametrize("role", ["app", "judge", "owner"])
def test_what_is_recorded_under_one_lock_is_of_one_time(session: Session, history: History, role: str) -> None:
    with session(role, history.tenant_id) as connection:
        [locked] = connection.execute("select seq, at from lock_audit_head()").fetchall()
        said = ["access.refused"] * 2, ["ann"] * 2, [None] * 2, [None] * 2, ["{}"] * 2
        [first] = connection.execute("select before, moment from append_audit(%s, %s, %s, %s, %s)", said).fetchall()
        [second] = connection.execute("select before, moment from append_audit(%s, %s, %s, %s, %s)", said).fetchall()
        times = connection.execute("select distinct at from audit where seq > %s", [locked[0]]).fetchall()
    assert (first, second) == (locked, (locked[0] + 2, locked[1]))
    assert times == [(locked[1],)]


def test_an_entry_about_a_plan_reads_none_of_the_others(session: Session, real_scene: Scene) -> None:
    """By PostgreSQL's own counts: an entry must not cost more, the more is there."""
    plan_id = real_scene.plan(500).plan_id
    read = """select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int from pg_stat_xact_user_tables
               where relname in ('task', 'plan')"""
    said = [AuditKind.PLAN_BUDGET_REACHED, AuditKind.PLAN_PLANNED], ["budget", "planner"], [plan_id] * 2
    with session("app", real_scene.tenant_id) as connection:
        before = connection.execute(read).fetchone()
        connection.execute(
            "select append_audit(%s, %s, %s, %s, %s)", [*said, [None] * 2, ['{"tasks":1}'] * 2], prepare=False
        )
        after = connection.execute(read).fetchone()
    assert before is not None
    assert after is not None
    assert 1 <= after[0] - before[0] <= 10


def test_only_functions_of_the_writer_write_without_asking_who_writes(session: Session, history: History) -> None:
    for role in ("app", "worker", "judge"):
        with session(role, history.tenant_id) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select chain_audit('{x}', '{x}', '{null}', '{null}', '{\"{}\"}')")


def test_a_worker_writes_no_entry_at_all(session: Session, history: History) -> None:
    said = "select append_audit('{audit.read}', '{ann}', '{null}', '{null}', '{\"{}\"}')"
    with session("worker", history.tenant_id) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(said)
