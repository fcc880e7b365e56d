"""No path commits without an approving decision: what is refused to direct SQL, with each role's own login."""

from contextlib import suppress
from itertools import product
from uuid import uuid4

import pytest
from psycopg import errors, sql

from chimera.models.work.task import TRANSITIONS, TaskState
from tests.contract.direct import ROLES, History, Session, commit, decide, move, recorded, stage


def test_an_approved_result_can_be_committed(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        decide(connection, history, history.staged)
        move(connection, history.staged)
        commit(connection, history, history.staged, history.staged_sha256)
        connection.execute("set constraints all immediate")


def test_nothing_is_committed_without_a_decision(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
        commit(connection, history, history.staged, history.staged_sha256)


@pytest.mark.parametrize(("verdict", "final"), [("hitl", False), ("deny", False), ("deny", True)])
def test_nothing_is_committed_without_an_approving_decision(
    session: Session, history: History, verdict: str, final: bool
) -> None:
    with session("owner", history.tenant_id) as connection:
        decide(connection, history, history.staged, verdict=verdict, final=final)
        with pytest.raises(errors.ForeignKeyViolation):
            commit(connection, history, history.staged, history.staged_sha256)


def test_nothing_but_the_very_bytes_that_were_approved_is_committed(session: Session, history: History) -> None:
    for sha256, attempt in ((bytes(32), 1), (history.staged_sha256, 2)):
        with session("owner", history.tenant_id) as connection:
            decide(connection, history, history.staged)
            with pytest.raises(errors.ForeignKeyViolation):
                commit(connection, history, history.staged, sha256, attempt)


def test_a_commit_does_not_call_itself_anything_but_approved(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        decide(connection, history, history.staged, verdict="deny")
        with pytest.raises(errors.CheckViolation):
            connection.execute(
                "insert into commit (tenant_id, task_id, attempt, verdict, result_sha256, committed_at) "
                "values (%s, %s, 1, 'deny', %s, now())",
                [history.tenant_id, history.staged, history.staged_sha256],
            )


def test_a_table_of_the_judge_s_own_does_not_stand_in_for_the_decisions(session: Session, history: History) -> None:
    # Temporary tables come first on the search path, and anybody may make them.
    with session("owner", history.tenant_id) as connection, suppress(errors.InsufficientPrivilege):
        connection.execute("create temporary table decision (like public.decision)")
        connection.execute(
            "insert into pg_temp.decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, "
            "policy_version, decided_by, decided_at, audit_seq) "
            "values (%s, %s, 1, 'approve', %s, true, '[]', 'p', 'eve', now(), 1)",
            [history.tenant_id, history.staged, history.staged_sha256],
        )
        with pytest.raises(errors.ForeignKeyViolation):
            commit(connection, history, history.staged, history.staged_sha256)


def test_a_task_is_committed_once(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        decide(connection, history, history.staged)
        move(connection, history.staged)
        commit(connection, history, history.staged, history.staged_sha256)
        with pytest.raises(errors.UniqueViolation):
            commit(connection, history, history.staged, history.staged_sha256)


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_task_has_one_final_decision(session: Session, history: History, verdict: str) -> None:
    with session("owner", history.tenant_id) as connection:
        decide(connection, history, history.staged, verdict="deny")
        with pytest.raises(errors.UniqueViolation):
            decide(connection, history, history.staged, verdict=verdict, sha256=b"" if verdict == "deny" else None)


@pytest.mark.parametrize(("verdict", "final"), [("approve", False), ("hitl", True)])
def test_approving_ends_a_task_and_asking_does_not(
    session: Session, history: History, verdict: str, final: bool
) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        decide(connection, history, history.staged, verdict=verdict, final=final)


def test_a_decision_needs_its_audit_entry(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
        decide(connection, history, history.staged, seq=10**6)
    with session("owner", history.tenant_id) as connection:
        of_another_task = recorded(connection, history, history.denied)
        with pytest.raises(errors.ForeignKeyViolation):
            decide(connection, history, history.staged, seq=of_another_task)


def test_a_decision_is_on_a_result_that_is_there(session: Session, history: History) -> None:
    for task_id, sha256 in ((history.staged, bytes(32)), (history.queued, history.staged_sha256)):
        with session("owner", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
            decide(connection, history, task_id, sha256=sha256)


def test_shared_state_changes_with_a_commit_only(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        connection.execute(
            "insert into state (tenant_id, key, value, version, task_id, changed_at) "
            "values (%s, 'x', '1', 1, %s, now())",
            [history.tenant_id, history.staged],
        )
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute("set constraints all immediate")


def test_a_task_goes_only_where_the_code_says_it_may(session: Session, history: History) -> None:
    allowed = set()
    with session("owner", history.tenant_id) as connection:
        for before, after in product(TaskState, TaskState):
            with connection.transaction(force_rollback=True):
                task_id = uuid4()
                replan = "given_up" if (before, after) == (TaskState.QUEUED, TaskState.DENIED) else None
                # A row may begin anywhere; the rule is on changes.
                connection.execute(
                    "insert into task (tenant_id, plan_id, wave_no, ordinal, task_id, skill, input, priority, "
                    "timeout_seconds, max_attempts, state, replan, lease_token, lease_until) "
                    "values (%s, %s, 0, 1000, %s, 'echo', '{}', 1, 1, 1, %s, %s, gen_random_uuid(), now())",
                    [history.tenant_id, history.plan_id, task_id, before, replan],
                )
                try:
                    with connection.transaction():
                        connection.execute("update task set state = %s where task_id = %s", [after, task_id])
                except errors.CheckViolation:
                    continue
                if before is not after:
                    allowed.add((before, after))
    assert allowed == {(before, after) for before, states in TRANSITIONS.items() for after in states}


@pytest.mark.parametrize("replan", [None, "asked"])
def test_what_waits_is_denied_only_where_its_planner_gave_it_up(
    session: Session, history: History, replan: str | None
) -> None:
    with session("owner", history.tenant_id) as connection:
        connection.execute("update task set replan = %s where task_id = %s", [replan, history.queued])
        with pytest.raises(errors.CheckViolation):
            connection.execute("update task set state = 'denied' where task_id = %s", [history.queued])


def test_who_plans_changes_a_task_only_while_it_waits_for_its_planner(session: Session, history: History) -> None:
    with session("app", history.tenant_id) as connection:
        changed = connection.execute("update task set skill = skill where state <> 'queued'")
        assert changed.rowcount == 0
    for change in ("input = '{\"other\": 1}'", "timeout_seconds = timeout_seconds + 1"):
        with (
            session("app", history.tenant_id) as connection,
            pytest.raises(errors.InsufficientPrivilege, match="asked"),
        ):
            connection.execute(f"update task set {change} where task_id = '{history.queued}'".encode())


def test_no_agent_runs_what_waits_for_its_planner(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        connection.execute("update task set replan = 'asked' where task_id = %s", [history.queued])
        with pytest.raises(errors.CheckViolation):
            connection.execute(
                "update task set state = 'running', lease_token = gen_random_uuid(), lease_until = now() "
                "where task_id = %s",
                [history.queued],
            )


def test_nothing_is_sent_back_more_often_than_five_times(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        connection.execute("update task set replans = 5 where task_id = %s", [history.staged])
        with pytest.raises(errors.CheckViolation):
            connection.execute("update task set replans = replans + 1 where task_id = %s", [history.staged])


def test_a_result_is_stored_under_the_hash_of_its_bytes(session: Session, history: History) -> None:
    outcome = '{"kind": "success",  "output": "ü"}'
    with session("owner", history.tenant_id) as connection:
        stage(connection, history, outcome, outcome)
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        stage(connection, history, outcome, outcome.replace("  ", " "))


def test_a_result_is_of_a_task_and_its_present_attempt(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
        stage(connection, history, "{}", "{}", attempt=2)


def test_a_task_is_in_a_wave_of_its_plan(session: Session, history: History) -> None:
    with session("app", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
        connection.execute(
            "insert into task (tenant_id, plan_id, wave_no, ordinal, task_id, skill, input, priority, timeout_seconds, "
            "max_attempts) values (%s, %s, 99, 0, gen_random_uuid(), 'echo', '{}', 1, 1, 1)",
            [history.tenant_id, history.plan_id],
        )


@pytest.mark.parametrize(
    "statement",
    [
        "update plan set state = 'stopping'",
        "update plan set state = 'completed'",
        "update plan set finished_at = now()",
        "update plan set state = 'done'",
        "update wave set state = 'closed'",
        "update wave set approved = 100",
        "update task set attempt = max_attempts + 1",
        "update task set state = 'running', lease_token = null where state = 'queued'",
        "update review_card set status = 'approved', decided_at = now()",
        "update review_card set decided_by = 'eve', status = 'approved'",
        "update tenant set tenant_id = 'Not Valid'",
    ],
)
def test_what_contradicts_itself_is_refused(session: Session, history: History, statement: str) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.IntegrityError):
        connection.execute(statement.encode())


# Each role against each table that matters: statements of somebody who wants a result committed that nobody approved.

HASH = "(select sha256 from result where task_id = '{staged}')"
COMMIT = """insert into commit (tenant_id, task_id, attempt, result_sha256, committed_at)
    values ('{tenant}', '{%s}', 1, %s, now())"""
DECISION = """insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version,
    decided_by, decided_at, audit_seq)
    values ('{tenant}', '{staged}', 1, 'approve', %s, true, '[]', 'p', 'eve', now(), %s)"""
STATE = """insert into state (tenant_id, key, value, version, task_id, changed_at)
    values ('{tenant}', '%s', '1', %s, '{%s}', now())"""
ATTEMPTS = {
    "a commit of what is staged": COMMIT % ("staged", "sha256('')"),
    "a commit of what a person has to decide": COMMIT % ("in_review", "sha256('')"),
    "a commit of what was denied": COMMIT % ("denied", "sha256('')"),
    "a commit of what never ran": COMMIT % ("queued", "''"),
    "another commit of what was approved": COMMIT % ("approved", "sha256('')"),
    "the commit of other bytes": "update commit set result_sha256 = sha256('')",
    "the commit for another task": "update commit set task_id = '{staged}'",
    "no commit any more": "delete from commit",
    "a decision that no entry tells of": DECISION % ("sha256('')", 10**6),
    "a decision on nothing": DECISION % ("''", 1),
    "an approval of what was denied": "update decision set verdict = 'approve' where verdict = 'deny'",
    "an approval in place of asking a person": """update decision set verdict = 'approve', final = true
        where verdict = 'hitl'""",
    "no decision any more": "delete from decision",
    "a task approved from the start": """insert into task (tenant_id, plan_id, wave_no, ordinal, task_id, skill, input,
        priority, timeout_seconds, max_attempts, state)
        values ('{tenant}', '{plan}', 0, 1000, gen_random_uuid(), 'echo', '{{}}', 1, 1, 1, 'approved')""",
    "a staged task approved": "update task set state = 'approved' where task_id = '{staged}'",
    "a reviewed task approved": "update task set state = 'approved' where task_id = '{in_review}'",
    "a denied task approved": "update task set state = 'approved' where task_id = '{denied}'",
    "an approved task staged again": "update task set state = 'staged' where task_id = '{approved}'",
    "a card approved": "update review_card set status = 'approved', decided_by = 'eve', decided_at = now()",
    "a card of another task": "update review_card set task_id = '{staged}'",
    "a card on other bytes": "update review_card set result_sha256 = sha256('')",
    "an approved card from the start": """insert into review_card (tenant_id, card_id, plan_id, task_id, attempt, skill,
        result_sha256, reasons, policy_version, status, decided_by, decided_at, opened_at)
        values ('{tenant}', gen_random_uuid(), '{plan}', '{staged}', 1, 'echo',
        sha256(''), '[]', 'p', 'approved', 'eve', now(), now())""",
    "no card any more": "delete from review_card",
    "other bytes of a staged result": "update result set outcome = '1' where task_id = '{staged}'",
    "other bytes under their own hash": """update result set outcome = '1', sha256 = sha256('1')
        where task_id = '{approved}'""",
    "another result after the decision": """insert into result (tenant_id, task_id, attempt, agent_id, outcome,
        sha256, started_at, finished_at)
        values ('{tenant}', '{denied}', 1, gen_random_uuid(), '1', sha256('1'), now(), now())""",
    "a result of a task that nobody works on": """insert into result (tenant_id, task_id, attempt, agent_id, outcome,
        sha256, started_at, finished_at)
        values ('{tenant}', '{queued}', 0, gen_random_uuid(), '1', sha256('1'), now(), now())""",
    "no result any more": "delete from result",
    "shared state without a commit": STATE % ("x", 1, "staged"),
    "shared state by the commit of another key": STATE % ("x", 1, "approved"),
    "another value of the same version": "update state set value = '\"forged\"'",
    "another value by the same commit": "update state set value = '\"forged\"', version = version + 1",
    "an older version": "update state set version = version - 1",
    "a key under another name": "update state set key = 'y'",
    "no shared state any more": "delete from state",
    "a head without its entry": "update audit_head set seq = seq + 1",
    "a head of the past": "update audit_head set seq = 0, hash = sha256('')",
    "no head any more": "delete from audit_head",
    "an entry beside the chain": """insert into audit (tenant_id, seq, at, kind, actor, body, hash)
        values ('{tenant}', 1, now(), 'task.decided', 'eve', '{{}}', sha256(''))""",
    "an entry in another month": """insert into audit (tenant_id, seq, at, kind, actor, body, hash)
        values ('{tenant}', 1, now() + interval '1 month', 'plan.cancelled', 'eve', '{{}}', sha256(''))""",
    "an entry after a gap": """insert into audit (tenant_id, seq, at, kind, actor, body, hash)
        select '{tenant}', seq + 2, now(), 'plan.cancelled', 'eve', '{{}}', sha256('') from audit_head""",
    "two entries of one number": """insert into audit (tenant_id, seq, at, kind, actor, body, hash)
        select '{tenant}', seq + 1, now() + interval '1 month' * n, 'plan.cancelled', 'eve', '{{}}', sha256('')
          from audit_head, generate_series(0, 1) n""",
}


@pytest.mark.parametrize("what", ATTEMPTS)
@pytest.mark.parametrize("role", ROLES)
def test_nobody_gets_anything_committed_by_other_means(
    session: Session, history: History, role: str, what: str
) -> None:
    statement = ATTEMPTS[what].format(
        tenant=history.tenant_id,
        plan=history.plan_id,
        queued=history.queued,
        staged=history.staged,
        in_review=history.in_review,
        approved=history.approved,
        denied=history.denied,
    )
    with session(role, history.tenant_id) as connection:
        try:
            changed = connection.execute(statement.encode()).rowcount
            connection.execute("set constraints all immediate")
        except (errors.IntegrityError, errors.InsufficientPrivilege):
            changed = 0  # refused; where a role does not even see the row, nothing is changed
    assert changed == 0


@pytest.mark.parametrize("table", ["commit", "decision", "result", "state", "review_card", "audit_head", "audit"])
def test_the_owner_empties_none_of_it(session: Session, history: History, table: str) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(sql.SQL("truncate {} cascade").format(sql.Identifier(table)))


def test_what_decides_by_all_the_rules_is_let_through(session: Session, history: History) -> None:
    with session("owner", history.tenant_id) as connection:
        version = connection.execute("select version from state where key = 'k'").fetchone()
        assert version is not None
        decide(connection, history, history.staged)
        move(connection, history.staged)
        connection.execute(
            "insert into commit (tenant_id, task_id, attempt, result_sha256, state_key, state_version, committed_at) "
            "values (%s, %s, 1, %s, 'k', %s, now())",
            [history.tenant_id, history.staged, history.staged_sha256, version[0] + 1],
        )
        connection.execute(
            "update state set value = '2', version = version + 1, task_id = %s, changed_at = now() where key = 'k'",
            [history.staged],
        )
        connection.execute("set constraints all immediate")
