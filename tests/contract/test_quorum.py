"""What several people must approve, and what they made of it: what is refused to direct SQL, the owner's too."""

import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from chimera.models.audit.kinds import AuditKind
from chimera.models.text.person import name_fault
from tests.contract.direct import History, Session, commit, decide, move, recorded
from tests.unit.cli.test_review import BAD_NAMES

# Look-alikes of reserved names, and names without a letter.
KNOWN_TO_PYTHON_ONLY = {BAD_NAMES["look-alike"], BAD_NAMES["signs"]}


def commit_edited(connection: "Connection[TupleRow]", history: History, sha256: bytes) -> None:
    decide(connection, history, history.in_review, sha256=sha256)
    move(connection, history.in_review)
    commit(connection, history, history.in_review, sha256)


def approval(
    connection: "Connection[TupleRow]", history: History, who: str, sha256: bytes, seq: int | None = None
) -> None:
    seq = recorded(connection, history, history.in_review, AuditKind.REVIEW_APPROVED) if seq is None else seq
    connection.execute(
        "insert into review_approval (tenant_id, card_id, result_sha256, approved_by, approved_at, audit_seq) "
        "select tenant_id, card_id, %s, %s, now(), %s from review_card where task_id = %s",
        [sha256, who, seq, history.in_review],
    )


def versions(connection: "Connection[TupleRow]", history: History) -> tuple[bytes, bytes]:
    """The hashes of what the agent staged and of what a person made of it."""
    row = connection.execute(
        "select c.result_sha256, v.sha256 from review_card c join revision v using (card_id) where c.task_id = %s",
        [history.in_review],
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_nothing_is_committed_before_enough_people_approved_it(session: Session, history: History) -> None:
    # Ann's edit is the first of two approvals; eve writes hers herself.
    with session("owner", history.tenant_id) as connection:
        _, edited = versions(connection, history)
        with pytest.raises(errors.ForeignKeyViolation, match="as many people's approvals"):
            commit_edited(connection, history, edited)
    with session("owner", history.tenant_id) as connection:
        approval(connection, history, "eve", edited)
        commit_edited(connection, history, edited)


def test_approvals_of_one_version_do_not_commit_another(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        staged, edited = versions(connection, history)
        approval(connection, history, "eve", edited)
        with pytest.raises(errors.ForeignKeyViolation, match="as many people's approvals"):
            commit_edited(connection, history, staged)


def test_one_person_approves_a_version_once(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        _, edited = versions(connection, history)
        approval(connection, history, "eve", edited)
        with pytest.raises(errors.UniqueViolation):
            approval(connection, history, "eve", edited)


def test_an_approval_has_its_audit_entry_by_the_same_person(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        _, edited = versions(connection, history)
        with pytest.raises(errors.ForeignKeyViolation, match="audit entry"):
            approval(connection, history, "bob", edited)  # the entry is eve's
    for kind in (AuditKind.TASK_DECIDED, AuditKind.REVIEW_CLAIMED):
        with session("owner", history.tenant_id) as connection:
            seq = recorded(connection, history, history.in_review, kind)
            with pytest.raises(errors.ForeignKeyViolation, match="audit entry"):
                approval(connection, history, "eve", edited, seq)
    with session("owner", history.tenant_id) as connection:
        of_another_task = recorded(connection, history, history.denied, AuditKind.REVIEW_APPROVED)
        with pytest.raises(errors.ForeignKeyViolation, match="audit entry"):
            approval(connection, history, "eve", edited, of_another_task)


def test_an_approval_is_of_what_the_card_has_shown(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation, match="version"):
        approval(connection, history, "eve", bytes(32))


@pytest.mark.parametrize(
    "change",
    [
        "approvals_needed = 1",
        "result_sha256 = sha256('')",
        "attempt = attempt + 1",
        "task_id = gen_random_uuid()",
        "plan_id = gen_random_uuid()",
        "revision = 0",
        "revision = revision + 2, version = version + 1",
        "revision = revision + 1",
        "version = version - 1",
        "version = version + 2",
        "skill = 'other'",
        "confidence = 0.99",
        "confidence = null",
        "policy_version = 'default@v0+00000000'",
        "reasons = '[]'",
        "opened_at = now()",
    ],
)
def test_a_card_asks_what_it_was_opened_for(session: Session, history: History, change: str) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege, match="keeps"):
        connection.execute(f"update review_card set {change}".encode())


def test_a_decided_card_stays_decided(session: Session, history: History) -> None:
    for change in ("status = 'approved'", "decided_by = 'ann'", "note = 'x'", "revision = 9"):
        with session("owner", history.tenant_id) as connection:
            connection.execute("update review_card set status = 'denied', decided_by = 'eve', decided_at = now()")
            with pytest.raises(errors.InsufficientPrivilege, match="keeps"):
                connection.execute(f"update review_card set {change}".encode())


@pytest.mark.parametrize(
    ("number", "status"), [(1, "pending"), (3, "pending"), (2, "denied")], ids=["old", "gap", "decided"]
)
def test_a_revision_is_the_next_of_a_card_that_waits(
    session: Session, history: History, number: int, status: str
) -> None:
    insert = (
        "insert into revision (tenant_id, card_id, number, task_id, attempt, outcome, sha256, reasons, policy_version, "
        "edited_by) "
        "select tenant_id, card_id, %s, task_id, attempt, '{}', sha256('{}'), '[]', 'p', 'eve' from review_card"
    )
    with session("owner", history.tenant_id) as connection:
        connection.execute(insert, [2])
        connection.rollback()
    with session("owner", history.tenant_id) as connection:
        if status == "denied":
            connection.execute("update review_card set status = 'denied', decided_by = 'eve', decided_at = now()")
        with pytest.raises((errors.ForeignKeyViolation, errors.UniqueViolation)):
            connection.execute(insert, [number])


def test_a_revision_is_stored_under_the_hash_of_its_bytes(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        connection.execute(
            "insert into revision (tenant_id, card_id, number, task_id, attempt, outcome, sha256, reasons, "
            "policy_version, edited_by) "
            "select tenant_id, card_id, 2, task_id, attempt, '{}', sha256('{ }'), '[]', 'p', 'eve' from review_card"
        )


# The functions of the login that says what people decide, called by it.

CARD = "(select card_id from review_card where task_id = %(task)s)"
STAGED = "(select result_sha256 from review_card where task_id = %(task)s)"
SHOWN = "(select v.sha256 from review_card c join revision v on v.card_id = c.card_id and v.number = c.revision)"


@pytest.mark.parametrize(
    "call",
    [
        f"claim_card({CARD}, 'bob ', 60)",
        f"claim_card({CARD}, 'judge', 60)",
        f"claim_card({CARD}, 'bob', 0)",
        f"claim_card({CARD}, 'bob', 86401)",
        f"claim_card({CARD}, 'bob', 'nan')",
        "claim_card(gen_random_uuid(), 'bob', 60)",
        f"release_card({CARD}, 'policy')",
        f"decide_card({CARD}, 1, 'denied', 'bob', 'no')",
        f"decide_card({CARD}, 2, 'approved', 'bob', null)",
        f"decide_card({CARD}, 2, 'cancelled', 'bob', null)",
        f"decide_card({CARD}, 2, 'denied', 'sweep', null)",
        f"revise_card({CARD}, 1, '{{}}', sha256('{{}}'), '[]', 'p', 'bob', null)",
        f"revise_card({CARD}, 2, '{{}}', sha256('{{ }}'), '[]', 'p', 'bob', null)",
        f"revise_card({CARD}, 2, '{{}}', sha256('{{}}'), '[]', 'p', 'Judge', null)",
        f"approve_card({CARD}, {SHOWN}, 'bob', now(), 1)",
        f"approve_card({CARD}, {STAGED}, 'ann', %(at)s, %(seq)s)",
        f"approve_card({CARD}, {SHOWN}, 'bob', %(at)s, %(seq)s)",
    ],
)
def test_what_no_person_can_do_is_refused(session: Session, history: History, call: str) -> None:
    with session("review", history.tenant_id) as connection:
        values = {"task": history.in_review}
        of_ann = connection.execute(
            "select approved_at as at, audit_seq as seq from review_approval where approved_by = 'ann'"
        ).fetchone()
        assert of_ann is not None
        values |= dict(zip(("at", "seq"), of_ann, strict=True))
        with pytest.raises((errors.CheckViolation, errors.ForeignKeyViolation)):
            connection.execute(f"select {call}".encode(), values)


@pytest.mark.parametrize("role", ["app", "worker", "judge", "seal"])
def test_only_the_login_of_people_s_decisions_may_call_them(session: Session, history: History, role: str) -> None:
    for call in (
        "lock_card(gen_random_uuid())",
        "next_card('bob', null)",
        "claim_card(gen_random_uuid(), 'bob', 60)",
        "release_card(gen_random_uuid(), 'bob')",
        "decide_card(gen_random_uuid(), 1, 'denied', 'bob', 'no')",
        "revise_card(gen_random_uuid(), 1, '{}', sha256('{}'), '[]', 'p', 'bob', null)",
        "approve_card(gen_random_uuid(), sha256('{}'), 'bob', now(), 1)",
    ):
        with session(role, history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"select {call}".encode())


def test_people_s_login_decides_nothing_that_no_person_was_asked(session: Session, history: History) -> None:
    for by in ("policy", "judge", "policy and fast-judge"):
        with session("review", history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
            decide(connection, history, history.in_review, verdict="deny", sha256=b"", by=by)
    with session("review", history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("update task set state = 'denied' where task_id = %s", [history.staged])


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *((name, False) for name in BAD_NAMES.values() if name not in KNOWN_TO_PYTHON_ONLY),
        *((name, True) for name in ("Ann Smith", "李", "Bob Müller-Lüdenscheidt", "o'hara", "person")),
    ],
)
def test_the_schema_knows_a_person_s_name_as_the_command_line_does(session: Session, name: str, fits: bool) -> None:
    assert (name_fault(name) is None) == fits
    with session("owner") as connection:
        assert connection.execute("select is_person_name(%s)", [name]).fetchone() == (fits,)
