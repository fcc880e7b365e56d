"""The Judge's login says what people decided, and alters what they are shown."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from chimera.models.audit.kinds import AuditKind
from tests.contract.direct import History, Session, recorded
from tests.contract.scene import Scene

Connection = psycopg.Connection[tuple[Any, ...]]

CHANGES = {
    "skill": "skill = 'harmless'",
    "confidence": "confidence = 0.99",
    "policy": "policy_version = 'strict@v9+00000000'",
    "claimed": "claimed_by = 'ann', claim_expires_at = now() + interval '1 day'",
    "due": "due_at = now()",
    "note": "note = 'ann said yes'",
    "version": "version = version + 1",
    "denied": "status = 'denied', decided_by = 'ann', decided_at = now()",
    "cancelled": "status = 'cancelled', decided_at = now()",
    "expired": "status = 'expired', decided_at = now()",
}


def says(connection: Connection, history: History, task: Any, kind: str = "task.decided", by: str = "policy") -> int:
    """The sequence of a fresh entry of the audit about a task, written in the way that the login has."""
    function = "append_audit(text[], text[], uuid[], uuid[], text[])"
    if connection.execute("select to_regprocedure(%s)", [function]).fetchone() == (None,):
        return recorded(connection, history, task, AuditKind(kind))
    row = connection.execute(
        """select before + 1 from task, append_audit(array[%s], array[%s], array[plan_id], array[task_id],
        '{"{\\"by_login\\":\\"chimera_judge\\"}"}') where task_id = %s""",
        [kind, by, task],
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("change", [*CHANGES.values()], ids=[*CHANGES])
def test_the_judge_alters_no_card(session: Session, history: History, change: str) -> None:
    with session("judge", history.tenant_id) as connection:
        shown = "select to_jsonb(c) from review_card c where task_id = %s"
        before = connection.execute(shown, [history.in_review]).fetchone()
        with suppress(psycopg.Error), connection.transaction():
            connection.execute(f"update review_card set {change} where task_id = %s".encode(), [history.in_review])
        assert connection.execute(shown, [history.in_review]).fetchone() == before


def test_the_judge_writes_no_person_s_version(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        with suppress(psycopg.Error), connection.transaction():
            connection.execute(
                "insert into revision (tenant_id, card_id, number, task_id, attempt, outcome, sha256, reasons, "
                "policy_version, edited_by) select tenant_id, card_id, 2, task_id, attempt, '{}', sha256('{}'), '[]', "
                "'p', 'ann' from review_card where task_id = %s",
                [history.in_review],
            )
        assert connection.execute("select count(*) from revision where number = 2").fetchone() == (0,)


def test_the_judge_approves_in_nobody_s_name(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        with suppress(psycopg.Error), connection.transaction():
            seq = says(connection, history, history.in_review, "review.approved", "eve")
            connection.execute(
                "insert into review_approval (tenant_id, card_id, result_sha256, approved_by, approved_at, audit_seq) "
                "select tenant_id, card_id, result_sha256, 'eve', now(), %s from review_card where task_id = %s",
                [seq, history.in_review],
            )
        assert connection.execute("select count(*) from review_approval where approved_by = 'eve'").fetchone() == (0,)


def test_a_card_is_not_opened_as_somebody_s_already(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        with suppress(psycopg.Error), connection.transaction():
            connection.execute(
                "insert into review_card (tenant_id, card_id, plan_id, task_id, attempt, skill, result_sha256, "
                "reasons, policy_version, opened_at, claimed_by, claim_expires_at) select tenant_id, "
                "gen_random_uuid(), plan_id, task_id, 1, skill, %s, '[]', 'p', now(), 'ann', 'infinity' from task "
                "where task_id = %s",
                [history.staged_sha256, history.staged],
            )
        assert connection.execute("select count(*) from review_card where claimed_by = 'ann'").fetchone() == (0,)


def decided(connection: Connection, history: History, task: Any, sha256: bytes, verdict: str, by: str) -> None:
    seq = says(connection, history, task)
    connection.execute(
        "insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version, "
        "decided_by, decided_at, audit_seq) select tenant_id, task_id, 1, %s, %s, true, '[]', 'p', %s, a.at, a.seq "
        "from audit a where seq = %s",
        [verdict, sha256, by, seq],
    )


@pytest.mark.parametrize("by", ["policy", "judge", "ann", "policy and fast-judge"])
def test_what_waits_for_a_person_is_not_committed_without_one(
    session: Session, real_scene: Scene, history: History, by: str
) -> None:
    """One person would be enough; nobody has looked."""
    planned, [card] = real_scene.in_review()
    mine = replace(history, tenant_id=real_scene.tenant_id, plan_id=planned.plan_id)
    with session("judge", real_scene.tenant_id) as connection:
        with suppress(psycopg.Error), connection.transaction():
            decided(connection, mine, planned.ids[0], card.result_sha256, "approve", by)
            connection.execute("update task set state = 'approved' where task_id = %s", [planned.ids[0]])
            connection.execute(
                "insert into commit (tenant_id, task_id, attempt, result_sha256, committed_at) "
                "values (%s, %s, 1, %s, now())",
                [real_scene.tenant_id, planned.ids[0], card.result_sha256],
            )
            connection.execute("set constraints all immediate")
        assert connection.execute("select count(*) from commit").fetchone() == (0,)


@pytest.mark.parametrize("by", ["ann", "bob", "Policy", "policy "])
def test_the_judge_denies_in_nobody_s_name(session: Session, history: History, by: str) -> None:
    with session("judge", history.tenant_id) as connection:
        with suppress(psycopg.Error), connection.transaction():
            decided(connection, history, history.staged, history.staged_sha256, "deny", by)
        assert connection.execute("select count(*) from decision where task_id = %s", [history.staged]).fetchone() == (
            0,
        )


@pytest.mark.parametrize(
    "kind", ["review.claimed", "review.released", "review.edited", "review.approved", "review.decided"]
)
def test_the_judge_records_nothing_that_a_person_does(session: Session, history: History, kind: str) -> None:
    with session("judge", history.tenant_id) as connection:
        with suppress(psycopg.Error), connection.transaction():
            says(connection, history, history.in_review, kind, "eve")
        said = "select count(*) from audit where kind = %s and actor = 'eve'"
        assert connection.execute(said, [kind]).fetchone() == (0,)
