"""What the database itself refuses, whatever the code above it does: by direct SQL, with each role's own login."""

import re
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from chimera.adapters.postgres.migrate import Migrations
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.task import TRANSITIONS, TaskState
from tests.contract.direct import ROLES, History, Session

TABLES = (
    "tenant",
    "plan",
    "wave",
    "task",
    "result",
    "audit",
    "audit_head",
    "decision",
    "commit",
    "state",
    "review_card",
    "stale_result",
    "policy",
    "replanned",
    "refusal",
    "revision",
    "review_approval",
    "audit_checkpoint",
    "budget",
    "session",
    "lost_lease",
    "audit_export",
)
# Those of no tenant.
OF_ALL = ("skill", "planner")
# That no login reads: it is for functions.
OF_NOBODY = ("audit_right",)

# Who may do what.

ALL = "all"
MAY: dict[str, dict[str, dict[str, str]]] = {
    "app": {
        "select": dict.fromkeys((*TABLES, *OF_ALL), ALL),
        "insert": dict.fromkeys(("plan", "wave", "task", "replanned", "refusal", "session"), ALL)
        | {"audit_export": "after_seq export_id tenant_id"},
        "update": {
            "plan": "epoch failure finished_at has_replan lease_token lease_until paused_at paused_by planner_attempt "
            "published_at state stop_state stopped_by task_count",
            "wave": "budget_waits epoch publish_count published_at replan_at skill_waits_since state touched_at",
            "task": "degraded_from input lease_token lease_until replan replan_failure replan_tries skill "
            "timeout_seconds",
            "refusal": ALL,
            "session": "changed_at changed_by state",
        },
    },
    "worker": {
        "select": dict.fromkeys(OF_ALL, ALL),
        "insert": {
            "skill": "description effects examples fingerprint input_schema max_attempts max_batch module name "
            "output_schema timeout_seconds",
            "planner": "description examples fingerprint has_replan input_schema module name",
        },
        "update": {
            "skill": "description effects examples last_seen max_attempts max_batch module timeout_seconds",
            "planner": "description examples has_replan last_seen module",
        },
    },
    "judge": {
        "select": {
            "plan": "deadline epoch finished_at has_replan lease_until paused_at paused_by plan_id planner "
            "planner_attempt priority published_at state stop_state stopped_by submitted_at task_count "
            "tenant_id trace_id",
            "audit_checkpoint": "entry_at kept_at number seq tenant_id",
            **dict.fromkeys(
                {*TABLES, *OF_ALL} - {"plan", "tenant", "session", "lost_lease", "audit_checkpoint", "audit_export"},
                ALL,
            ),
        },
        "insert": {
            "refusal": ALL,
            "review_card": "approvals_needed attempt card_id confidence opened_at plan_id policy_version reasons "
            "result_sha256 skill task_id tenant_id",
        },
        "update": {
            "plan": "epoch finished_at lease_token lease_until paused_at paused_by published_at state stop_state "
            "stopped_by",
            "wave": "asked_by asked_until budget_waits epoch publish_count published_at replan_at skill_waits_since "
            "state touched_at",
            "refusal": ALL,
        },
    },
    "review": {
        "select": {
            "plan": "plan_id state stop_state task_count tenant_id trace_id",
            "audit_checkpoint": "entry_at kept_at number seq tenant_id",
            **dict.fromkeys(
                (
                    *(
                        "review_card",
                        "revision",
                        "review_approval",
                        "wave",
                        "task",
                        "result",
                        "policy",
                        "audit",
                        "skill",
                    ),
                    *("audit_head", "decision", "commit", "state", "budget", "refusal"),
                ),
                ALL,
            ),
        },
        "insert": {"refusal": ALL},
        "update": {"wave": "touched_at", "refusal": ALL},
    },
    "seal": {
        "select": {
            "audit": "at hash seq tenant_id",
            **dict.fromkeys(("audit_head", "audit_checkpoint", "audit_export"), ALL),
        },
        "insert": {"audit_checkpoint": "body entry_at key_id number seq tenant_id"},
        "update": {"audit_checkpoint": "kept_at", "audit_export": "answered_at header"},
    },
}

GRANTED = """
select c.relname,
       string_agg(a.attname, ' ' order by a.attname::text collate "C")
           filter (where has_column_privilege(a.attrelid, a.attnum, %(verb)s)),
       bool_and(has_column_privilege(a.attrelid, a.attnum, %(verb)s))
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
 group by c.relname
"""


@pytest.mark.parametrize("verb", ["select", "insert", "update", "references"])
@pytest.mark.parametrize("role", MAY)
def test_a_role_may_touch_exactly_these_columns(session: Session, role: str, verb: str) -> None:
    with session(role) as connection:
        rows = connection.execute(GRANTED, {"verb": verb}).fetchall()
    granted = {table: ALL if every else columns for table, columns, every in rows if columns}
    assert granted == MAY[role].get(verb, {})


@pytest.mark.parametrize("verb", ["delete from {}", "truncate {}"])
@pytest.mark.parametrize("role", MAY)
def test_no_role_deletes_anything(session: Session, history: History, role: str, verb: str) -> None:
    for table in TABLES:
        with session(role, history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(sql.SQL(verb).format(sql.Identifier(table)))


AUDIT_ROW = """insert into audit (tenant_id, seq, at, kind, actor, body, hash)
    values ('{tenant}', 1000, now(), '{kind}', 'eve', '{{}}', sha256(''))"""
DECISION_ROW = """insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons,
    policy_version, decided_by, decided_at, audit_seq)
    values ('{tenant}', '{staged}', 1, 'approve', '', true, '[]', 'p', 'eve', now(), 1)"""
COMMIT_ROW = """insert into commit (tenant_id, task_id, attempt, result_sha256, committed_at)
    values ('{tenant}', '{staged}', 1, '', now())"""


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("worker", DECISION_ROW),
        ("worker", COMMIT_ROW),
        ("worker", AUDIT_ROW.replace("{kind}", "task.decided")),
        ("worker", AUDIT_ROW.replace("{kind}", "plan.submitted")),
        ("worker", "select goal from plan"),
        ("worker", "select inputs from plan"),
        ("worker", "select outcome from result"),
        ("worker", "select * from decision"),
        ("worker", "select * from review_card"),
        ("worker", "select * from session"),
        ("judge", "select * from session"),
        ("judge", "update session set state = 'open'"),
        ("app", "update session set opened_by = 'eve'"),
        ("worker", "update task set max_attempts = 100"),
        ("worker", "update task set input = '{{}}'"),
        ("worker", "update result set outcome = '1'"),
        ("worker", "update state set value = '1'"),
        ("worker", "update wave set state = 'waiting'"),
        ("worker", "update plan set state = 'completed'"),
        ("app", DECISION_ROW),
        ("app", COMMIT_ROW),
        ("app", AUDIT_ROW.replace("{kind}", "task.decided")),
        ("app", AUDIT_ROW.replace("{kind}", "review.decided")),
        ("app", AUDIT_ROW.replace("{kind}", "tenant.added")),
        ("app", AUDIT_ROW.replace("{kind}", "audit.erased")),
        ("app", "update plan set inputs = null, erased_at = now()"),
        ("worker", "update task set input = null, erased_at = now()"),
        ("judge", "update review_card set erased_at = now()"),
        ("judge", "update state set value = null, erased_at = now()"),
        ("app", "update review_card set status = 'approved', decided_by = 'eve', decided_at = now()"),
        ("app", "update task set state = 'approved'"),
        ("app", "update state set value = '1'"),
        ("app", "insert into result select * from result"),
        ("app", "insert into tenant (tenant_id) values ('eve')"),
        (
            "worker",
            "insert into lost_lease (tenant_id, task_id, attempt, agent_id) values ('acme', '{staged}', 1, '{staged}')",
        ),
        ("worker", "select * from lost_lease"),
        (
            "app",
            "insert into lost_lease (tenant_id, task_id, attempt, agent_id) values ('acme', '{staged}', 1, '{staged}')",
        ),
        ("judge", "select goal from plan"),
        ("judge", "update lost_lease set agent_id = task_id"),
        ("judge", "select inputs from plan"),
        ("judge", "select session_id from plan"),
        ("judge", "update result set outcome = '1'"),
        ("judge", "update decision set verdict = 'approve'"),
        ("judge", "update commit set attempt = 2"),
        ("judge", "update task set input = '{{}}'"),
        ("judge", "insert into tenant (tenant_id) values ('eve')"),
        ("judge", "insert into plan select * from plan"),
        ("judge", "insert into task select * from task"),
        ("judge", "insert into result select * from result"),
    ],
)
def test_a_role_is_refused_what_is_not_its_own(session: Session, history: History, role: str, statement: str) -> None:
    text = statement.format(tenant=history.tenant_id, staged=history.staged)
    with session(role, history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(text.encode())


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", ["update audit set actor = 'eve'", "delete from audit", "truncate audit"])
def test_nobody_changes_the_audit(session: Session, history: History, role: str, statement: str) -> None:
    with session(role, history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize("kind", [AuditKind.SESSION_OPENED, AuditKind.ACCESS_REFUSED, AuditKind.AUDIT_READ])
def test_who_submits_may_record_what_becomes_of_sessions_and_who_asked(
    session: Session, history: History, kind: AuditKind
) -> None:
    with session("app", history.tenant_id) as connection:
        found = connection.execute(
            "select moment from append_audit(%s, '{eve}', '{null}', '{null}', %s)",
            [[kind], ['{"by_login":"chimera_app","session_id":"s"}']],
        ).fetchone()
        row = connection.execute("select at, kind from audit order by seq desc limit 1").fetchone()
    assert found is not None
    assert row == (found[0], kind)


@pytest.mark.parametrize("facts", ["{}", '{"by_login":"chimera_review"}', '{"by_login":null}'])
def test_what_people_do_is_recorded_with_the_login_that_did_it(session: Session, history: History, facts: str) -> None:
    with session("app", history.tenant_id) as connection, pytest.raises(errors.CheckViolation, match="login"):
        connection.execute("select append_audit('{audit.read}', '{eve}', '{null}', '{null}', %s)", [[facts]])


def test_a_session_that_was_stopped_stays_so(session: Session, history: History) -> None:
    with session("app", history.tenant_id) as connection:
        stop = "update session set state = 'stopped', changed_at = now(), changed_by = 'ann'"
        assert connection.execute(stop).rowcount == 1
        with pytest.raises(errors.InsufficientPrivilege, match="session keeps what it has"):
            connection.execute("update session set state = 'open'")


def test_a_worker_ends_no_task(session: Session, history: History) -> None:
    # The end of a task is a decision's: otherwise whoever has a worker's login approves what it likes.
    ids = {
        "queued": history.queued,
        "running": history.running,
        "staged": history.staged,
        "in_review": history.in_review,
    }
    ended = set()
    with session("worker", history.tenant_id) as connection:
        for before, task_id in ids.items():
            for after in TRANSITIONS[TaskState(before)] - {TaskState.RUNNING, TaskState.STAGED, TaskState.QUEUED}:
                with suppress(psycopg.DatabaseError), connection.transaction(force_rollback=True):
                    update = "update task set state = %s where task_id = %s"
                    if connection.execute(update, [after, task_id]).rowcount:
                        ended.add(f"{before} -> {after}")
    assert ended == set()


def test_no_role_is_above_the_rules(session: Session) -> None:
    with session("owner") as connection:
        rows = connection.execute(
            "select rolname, rolsuper, rolbypassrls, rolreplication, rolcreatedb from pg_roles "
            "where rolname like 'chimera%' order by rolname"
        ).fetchall()
        writers = connection.execute(
            "select m.member::regrole::text, rolcanlogin from pg_auth_members m join pg_roles r on r.oid = m.roleid "
            "where m.roleid = 'chimera_writer'::regrole and (m.set_option or m.inherit_option)"
        ).fetchall()
        above = connection.execute(
            "select m.roleid::regrole::text, m.member::regrole::text from pg_auth_members m "
            "where m.member in ('chimera_app'::regrole, 'chimera_worker'::regrole, 'chimera_judge'::regrole, "
            "'chimera_seal'::regrole, 'chimera_review'::regrole)"
        ).fetchall()
    names = [f"chimera_{name}" for name in ("app", "judge", "owner", "review", "seal", "worker", "writer")]
    assert {row[1:] for row in rows} == {(False, False, False, False)}
    # Logins of tenants' own, which other tests make, are no more than the roles that they are members of.
    assert [row[0] for row in rows if not re.match("chimera_(app|worker)_", row[0])] == names
    assert above == []
    assert writers == [("chimera_owner", False)]


def test_what_runs_as_the_writer_is_looked_up_in_the_schema_and_only_by_whom_it_is_for(session: Session) -> None:
    with session("owner") as connection:
        rows = connection.execute(
            """
            select p.oid::regprocedure::text, p.proconfig, p.proowner::regrole::text, p.prosecdef,
                   has_function_privilege('public', p.oid, 'execute')
              from pg_proc p where p.pronamespace = 'public'::regnamespace
               -- What was parsed when it was made, and runs as who calls it, looks nothing up.
               and (p.prosecdef or p.prosqlbody is null or p.proconfig is not null)
            """
        ).fetchall()
        may_create = connection.execute("select has_schema_privilege('chimera_writer', 'public', 'create')").fetchone()
    assert [name for name, settings, *_ in rows if "search_path=public, pg_temp" not in (settings or [])] == []
    assert [name for name, _, owner, definer, public in rows if definer and public and owner == "chimera_writer"] == []
    assert {definer for _, _, owner, definer, _ in rows if owner == "chimera_writer"} == {True}
    assert may_create == (False,)


@pytest.mark.parametrize("role", MAY)
def test_no_login_makes_temporary_objects(session: Session, role: str) -> None:
    with session(role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("create temporary table mine ()")


@pytest.mark.parametrize("role", MAY)
def test_no_role_makes_objects_of_its_own_in_the_schema(session: Session, role: str) -> None:
    with session(role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("create table mine ()")


# The audit's partitions.

PARTITIONS = """
select c.relname, c.relrowsecurity, c.relforcerowsecurity,
       not exists (select from aclexplode(c.relacl) a where a.grantee <> c.relowner),
       (select count(*) from pg_policy p where p.polrelid = c.oid),
       array(select t.tgname::text from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
  from pg_class c
 where c.relispartition and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
 order by c.relname
"""


def test_the_audit_has_a_partition_for_this_month_and_the_next_three(session: Session) -> None:
    with session("owner") as connection:
        names = [row[0] for row in connection.execute(PARTITIONS)]
        months = connection.execute(
            "select to_char(date_trunc('month', now() at time zone 'UTC') + make_interval(months => n), "
            "'\"audit_\"YYYY_MM') from generate_series(0, 3) n"
        ).fetchall()
    assert names == [*sorted(row[0] for row in months), "audit_default"]


def test_a_partition_lets_nobody_in_but_through_the_audit(session: Session) -> None:
    with session("owner") as connection:
        found = connection.execute(PARTITIONS).fetchall()
    assert {row[1:5] for row in found} == {(True, True, True, 0)}
    assert all(row[5] == ["audit_append_only"] for row in found)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reads_or_writes_a_partition(session: Session, history: History, role: str) -> None:
    with session("owner") as connection:
        names = [row[0] for row in connection.execute(PARTITIONS)]
    for name in names:
        partition = sql.Identifier(name)
        with session(role, history.tenant_id) as connection:
            try:
                rows = connection.execute(sql.SQL("select * from {}").format(partition)).fetchall()
            except errors.InsufficientPrivilege:
                rows = []
            assert rows == []
        for verb in (
            "insert into {} select * from audit",
            "update {} set actor = 'eve'",
            "delete from {}",
            "truncate {}",
        ):
            with session(role, history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL(verb).format(partition))


def test_only_the_sweep_has_partitions_made_and_nothing_else_comes_of_it(session: Session) -> None:
    for role in ("app", "worker"):
        with session(role) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute("select make_audit_partitions()")
    with session("judge") as connection:
        assert connection.execute("select make_audit_partitions()").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("select shut_audit_partition('plan')")


# Row-level security.


def test_every_table_with_a_tenant_has_row_level_security_that_holds_for_its_owner_too(session: Session) -> None:
    with session("owner") as connection:
        rows = connection.execute(
            """
            select c.relname, c.relrowsecurity, c.relforcerowsecurity,
                   exists (select from pg_policy p where p.polrelid = c.oid)
              from pg_class c
              join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
            """
        ).fetchall()
    assert {row[0] for row in rows} == {*TABLES, "role_tenant"}
    assert {row[1:] for row in rows} == {(True, True, True)}


def test_only_these_see_more_than_one_tenant(session: Session) -> None:
    with session("owner") as connection:
        rows = connection.execute(
            "select polname::text, polcmd::text, polroles::regrole[]::text from pg_policy "
            "where polname not like '%_of_tenant' and polpermissive"
        ).fetchall()
    assert sorted(rows) == [
        ("audit_checkpoint_for_sealing", "r", "{chimera_seal}"),
        ("audit_export_for_sealing", "r", "{chimera_seal}"),
        ("audit_head_for_sealing", "r", "{chimera_seal}"),
        ("plan_for_sweep", "r", "{chimera_judge}"),
        # What a bound login declares is its tenant's all the same: a restrictive policy says so.
        ("planner_of_all", "*", "{-}"),
        ("policy_of_all", "r", "{-}"),
        ("refusal_for_sweep", "r", "{chimera_judge}"),
        ("role_tenant_of_owner", "*", "{chimera_owner}"),
        ("role_tenant_of_writer", "r", "{chimera_writer}"),
        ("skill_of_all", "*", "{-}"),
        ("tenant_of_owner", "*", "{chimera_owner}"),
        ("wave_for_sweep", "r", "{chimera_judge}"),
    ]


def test_the_data_model_names_every_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data-model.md").read_text(encoding="utf-8")
    assert {name for name in (*TABLES, *OF_ALL, *OF_NOBODY) if f"`{name}`" not in text} == set()


def seen(connection: "Connection[TupleRow]", table: str) -> set[str]:
    rows = connection.execute(sql.SQL("select distinct tenant_id from {}").format(sql.Identifier(table)))
    return {row[0] for row in rows}


def readable(role: str) -> set[str]:
    return set(TABLES) if role == "owner" else set(MAY[role]["select"]) - {*OF_ALL}


# The sweep finds work of all tenants, and refused attempts that were only counted; who seals, whose audit has to be
# sealed; the owner lists tenants.
ACROSS = {
    ("judge", "plan"),
    ("judge", "wave"),
    ("judge", "refusal"),
    ("seal", "audit_head"),
    ("seal", "audit_checkpoint"),
    ("seal", "audit_export"),
    ("owner", "tenant"),
}


@pytest.mark.parametrize("role", ROLES)
def test_a_tenant_sees_its_own_rows_only(session: Session, history: History, other: str, role: str) -> None:
    for table in readable(role):
        with session(role, history.tenant_id) as connection:
            own = seen(connection, table)
        with session(role, other) as connection:
            others = seen(connection, table)
        assert history.tenant_id in own, "there is something to see"
        if (role, table) not in ACROSS:
            assert own == {history.tenant_id}
            assert others <= {other}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("tenant_id", [None, ""], ids=["never set", "empty"])
def test_without_a_tenant_no_row_is_seen(session: Session, history: History, role: str, tenant_id: str | None) -> None:
    with session(role, tenant_id) as connection:
        found = {table for table in readable(role) if seen(connection, table)}
    assert found == {table for who, table in ACROSS if who == role}


def test_a_tenant_is_forgotten_with_its_transaction(session: Session, history: History) -> None:
    with session("app", history.tenant_id) as connection:
        assert seen(connection, "plan")
        connection.rollback()
        assert not seen(connection, "plan")


UPDATES = [
    ("app", "update plan set state = state where true"),
    ("app", "update wave set touched_at = touched_at where true"),
    ("judge", "update plan set state = state where true"),
    ("judge", "update wave set touched_at = touched_at where true"),
    ("owner", "update task set feedback = feedback where true"),
    ("owner", "update state set value = value where true"),
    ("owner", "update review_card set note = note where true"),
    ("owner", "update plan set goal = goal where true"),
    ("owner", "update task set label = label where true"),
    ("owner", "delete from stale_result where true"),
]


@pytest.mark.parametrize(("role", "statement"), UPDATES)
def test_another_tenant_s_rows_are_not_changed(
    session: Session, history: History, other: str, role: str, statement: str
) -> None:
    with session(role, history.tenant_id) as connection:
        assert connection.execute(statement.encode()).rowcount > 0
    with session(role, other) as connection:
        where = sql.SQL("{} and tenant_id = {}").format(sql.SQL(statement), sql.Literal(history.tenant_id))
        assert connection.execute(where).rowcount == 0


@pytest.mark.parametrize(
    ("role", "table"),
    [(role, table) for role in MAY for table, columns in MAY[role]["insert"].items() if columns == ALL],
)
def test_no_row_is_written_in_another_tenant_s_name(
    session: Session, history: History, other: str, role: str, table: str
) -> None:
    # The row of the one tenant, as it is, while speaking for the other: whatever else is wrong with it comes later.
    name = sql.Identifier(table)
    with session("owner", history.tenant_id) as connection:
        row = connection.execute(sql.SQL("select row_to_json(t)::text from {} t limit 1").format(name)).fetchone()
    insert = sql.SQL("insert into {0} select * from json_populate_record(null::{0}, %s::json)").format(name)
    with (
        session(role, other) as connection,
        pytest.raises(errors.InsufficientPrivilege, match="row-level security"),
    ):
        connection.execute(insert, row)


def test_a_row_is_not_moved_to_another_tenant(session: Session, history: History, other: str) -> None:
    for table in ("wave", "state", "review_card"):
        update = sql.SQL("update {} set tenant_id = {}").format(sql.Identifier(table), sql.Literal(other))
        with session("judge", history.tenant_id) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(update)


# Migrations.


def test_upgrading_again_changes_nothing(servers: dict[str, str]) -> None:
    migrations = Migrations(servers["CHIMERA_OWNER_DATABASE_URL"])
    assert migrations.current() == migrations.head()
    assert migrations.upgrade([]) == migrations.head()


def test_how_much_there_is_to_gate_is_known_without_reading_it(session: Session, history: History) -> None:
    # Of planned, replanned and copied tasks, and of results that were not erased.
    with session("owner", history.tenant_id) as connection:
        for table, column in (("task", "input"), ("result", "outcome")):
            sizes = sql.SQL("select {}, octet_length({}::text) from {} where {} is not null").format(
                sql.Identifier(f"{column}_bytes"), *[sql.Identifier(name) for name in (column, table, column)]
            )
            found = connection.execute(sizes).fetchall()
            assert found
            assert [row for row in found if row[0] != row[1]] == []


def test_an_input_is_as_long_as_it_is_whoever_inserts_it(session: Session, history: History) -> None:
    # A Judge reads as many results at a time as are said to be short.
    changed = f'{{"task_id": "{uuid4()}", "ordinal": 9999, "input_bytes": 1}}'
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.CheckViolation, match="as long as"):
        connection.execute("insert into task select (json_populate_record(t, %s)).* from task t limit 1", [changed])
