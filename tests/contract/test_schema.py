"""What the database itself refuses, whatever the code above it does: by direct SQL, with each role's own login."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.migrate import Migrations
from chimera.adapters.postgres.policy_store import PolicyStore
from chimera.adapters.postgres.tenant_store import TenantStore
from chimera.models.audit import AuditEvent, chain
from chimera.models.gate import Staged
from chimera.models.policy import Policy
from chimera.models.task import TRANSITIONS, TaskState
from chimera.ports.decision_store import WaveDecision
from chimera.ports.replan_store import Replanned
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene, approve, deny, success
from tests.contract.worlds import PostgresWorld

ROLES = ("owner", "app", "worker", "judge")
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
    "revision",
    "review_approval",
)

Session = Callable[..., AbstractContextManager["Connection[TupleRow]"]]


@dataclass(frozen=True)
class History:
    """A tenant with at least one row in every table."""

    tenant_id: str
    plan_id: UUID
    queued: UUID
    running: UUID
    staged: UUID
    in_review: UUID
    approved: UUID
    denied: UUID
    staged_sha256: bytes


@pytest.fixture(scope="module")
def session(servers: dict[str, str]) -> Session:
    """Opens a connection as a role, for a tenant; whatever it does is rolled back."""

    @contextmanager
    def opened(role: str, tenant_id: str | None = None) -> Iterator["Connection[TupleRow]"]:
        with psycopg.connect(servers[f"CHIMERA_{role.upper()}_DATABASE_URL"]) as connection:
            if tenant_id is not None:
                connection.execute("select set_config('chimera.tenant', %s, true)", [tenant_id])
            yield connection
            connection.rollback()

    return opened


@pytest.fixture(scope="module")
def scene(
    owner_database: Database, app_database: Database, worker_database: Database, judge_database: Database
) -> Scene:
    tenant_id = new_tenant_id()
    TenantStore(owner_database).add(tenant_id, "tests")
    return Scene(PostgresWorld(owner_database, app_database, worker_database, judge_database), tenant_id)


@pytest.fixture(scope="module")
def history(scene: Scene, owner_database: Database) -> History:
    planned = scene.plan(6, state_key="k")
    scene.send()
    queued, running, staged, in_review, approved, denied = planned.ids

    def by_two(staged: Staged) -> WaveDecision:
        return scene.hitl(staged, approvals_needed=2)

    for task_id, says in ((in_review, by_two), (approved, approve), (denied, deny)):
        scene.stage(scene.claim(planned.wave, [task_id]))
        scene.judge(planned.wave, says)
    [card] = scene.cards(planned.plan_id)
    scene.edit(card, "edited", by="ann")
    scene.stage(scene.claim(planned.wave, [staged]), success("staged"))
    ran = scene.claim(planned.wave, [running], lease_seconds=3600)
    scene.stage(replace(ran, token=scene.world.clock.new_id()))
    [waiting] = scene.world.decisions.open_wave(planned.wave).staged
    sent_back = scene.asked()
    _, token = scene.begin_replan(sent_back.wave)
    better = Replanned(skill="echo", input="{}", timeout_seconds=1.0)
    assert scene.world.replans.save(sent_back.wave, sent_back.ids[0], token, better)
    PolicyStore(owner_database).apply(scene.tenant_id, Policy(name="of-tests"), "tests")
    return History(
        scene.tenant_id,
        planned.plan_id,
        queued=queued,
        running=running,
        staged=staged,
        in_review=in_review,
        approved=approved,
        denied=denied,
        staged_sha256=waiting.sha256,
    )


@pytest.fixture(scope="module")
def other(owner_database: Database) -> str:
    """A tenant that has nothing."""
    tenant_id = new_tenant_id()
    TenantStore(owner_database).add(tenant_id, "tests")
    return tenant_id


# Who may do what.

ALL = "all"
MAY: dict[str, dict[str, dict[str, str]]] = {
    "app": {
        "select": dict.fromkeys(TABLES, ALL),
        "insert": dict.fromkeys(("plan", "wave", "task", "audit", "replanned"), ALL),
        "update": {
            "plan": "epoch failure finished_at has_replan lease_token lease_until paused_at paused_by planner_attempt "
            "published_at state stop_state stopped_by task_count",
            "wave": "epoch publish_count published_at replan_at state touched_at",
            "task": "input lease_token lease_until replan replan_failure replan_tries skill timeout_seconds",
            "audit_head": "hash seq",
        },
    },
    "worker": {
        "select": {
            "plan": "deadline paused_at plan_id state tenant_id",
            "task": ALL,
            "result": "attempt sha256 task_id tenant_id",
            "stale_result": "lease_token task_id tenant_id",
            "state": ALL,
        },
        "insert": {"result": ALL, "stale_result": ALL},
        "update": {"task": "agent_id attempt lease_token lease_until state state_version"},
    },
    "judge": {
        "select": {
            "plan": "deadline epoch finished_at has_replan lease_until paused_at plan_id planner planner_attempt "
            "priority published_at state stop_state stopped_by submitted_at task_count tenant_id trace_id",
            **dict.fromkeys(set(TABLES) - {"plan", "tenant"}, ALL),
        },
        "insert": dict.fromkeys(
            ("audit", "decision", "commit", "state", "review_card", "revision", "review_approval"), ALL
        ),
        "update": {
            "plan": "epoch finished_at lease_token lease_until published_at state stop_state stopped_by",
            "wave": ALL,
            "task": "feedback lease_token lease_until lost replan replan_tries replans state",
            "audit_head": "hash seq",
            "state": ALL,
            "review_card": ALL,
        },
    },
}

GRANTED = """
select c.relname,
       string_agg(a.attname, ' ' order by a.attname::text collate "C")
           filter (where has_column_privilege(a.attrelid, a.attnum, %(verb)s)),
       bool_and(has_column_privilege(a.attrelid, a.attnum, %(verb)s))
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
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
        ("app", "update review_card set status = 'approved', decided_by = 'eve', decided_at = now()"),
        ("app", "update task set state = 'approved'"),
        ("app", "update state set value = '1'"),
        ("app", "insert into result select * from result"),
        ("app", "insert into tenant (tenant_id) values ('eve')"),
        ("judge", "select goal from plan"),
        ("judge", "select inputs from plan"),
        ("judge", "select session_id from plan"),
        ("judge", "update result set outcome = '1'"),
        ("judge", "update decision set verdict = 'approve'"),
        ("judge", "update commit set attempt = 2"),
        ("judge", "update revision set outcome = '1'"),
        ("judge", "update review_approval set approved_by = 'eve'"),
        ("app", "insert into review_approval select * from review_approval"),
        ("app", "insert into revision select * from revision"),
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


def test_who_submits_may_record_what_becomes_of_plans(session: Session, history: History) -> None:
    with session("app", history.tenant_id) as connection:
        connection.execute(AUDIT_ROW.format(tenant=history.tenant_id, kind="plan.cancelled").encode())


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
        above = connection.execute(
            "select m.roleid::regrole::text, m.member::regrole::text from pg_auth_members m "
            "where m.member in ('chimera_app'::regrole, 'chimera_worker'::regrole, 'chimera_judge'::regrole)"
        ).fetchall()
    names = ["chimera_app", "chimera_judge", "chimera_owner", "chimera_worker"]
    assert rows == [(name, False, False, False, False) for name in names]
    assert above == []


@pytest.mark.parametrize("role", MAY)
def test_no_role_makes_objects_of_its_own_in_the_schema(session: Session, role: str) -> None:
    with session(role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("create table mine ()")


# Row-level security.


def test_every_table_with_a_tenant_has_row_level_security_that_holds_for_its_owner_too(session: Session) -> None:
    with session("owner") as connection:
        rows = connection.execute(
            """
            select c.relname, c.relrowsecurity, c.relforcerowsecurity,
                   exists (select from pg_policy p where p.polrelid = c.oid)
              from pg_class c
              join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            """
        ).fetchall()
    assert {row[0] for row in rows} == set(TABLES)
    assert {row[1:] for row in rows} == {(True, True, True)}


def test_only_these_see_more_than_one_tenant(session: Session) -> None:
    with session("owner") as connection:
        rows = connection.execute(
            "select polname::text, polcmd::text, polroles::regrole[]::text from pg_policy "
            "where polname not like '%_of_tenant' and polpermissive"
        ).fetchall()
    assert sorted(rows) == [
        ("plan_for_sweep", "r", "{chimera_judge}"),
        ("policy_of_all", "r", "{-}"),
        ("tenant_of_owner", "*", "{chimera_owner}"),
        ("wave_for_sweep", "r", "{chimera_judge}"),
    ]


def seen(connection: "Connection[TupleRow]", table: str) -> set[str]:
    rows = connection.execute(sql.SQL("select distinct tenant_id from {}").format(sql.Identifier(table)))
    return {row[0] for row in rows}


def readable(role: str) -> set[str]:
    return set(TABLES) if role == "owner" else set(MAY[role]["select"])


# The sweep finds work of all tenants, the owner lists tenants.
ACROSS = {("judge", "plan"), ("judge", "wave"), ("owner", "tenant")}


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
    ("app", "update audit_head set seq = seq where true"),
    ("worker", "update task set agent_id = agent_id where state = 'running'"),
    ("judge", "update plan set state = state where true"),
    ("judge", "update wave set priority = priority where true"),
    ("judge", "update task set feedback = feedback where true"),
    ("judge", "update audit_head set seq = seq where true"),
    ("judge", "update state set value = value where true"),
    ("judge", "update review_card set note = note where true"),
    ("owner", "update plan set goal = goal where true"),
    ("owner", "update result set outcome = outcome where true"),
    ("owner", "delete from commit where true"),
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
    [(role, table) for role in MAY for table in MAY[role]["insert"]],
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


# What follows what.


def recorded(connection: "Connection[TupleRow]", history: History, task_id: UUID, kind: str = "task.decided") -> int:
    """The sequence of a fresh audit entry about a task."""
    head = connection.execute("select seq, hash from audit_head for update").fetchone()
    assert head is not None
    event = AuditEvent(kind=kind, actor="eve", task_id=task_id, facts={})
    now = connection.execute("select now()").fetchone()
    assert now is not None
    [entry] = chain(history.tenant_id, head[0], head[1], now[0], [event])
    connection.execute(
        "insert into audit (tenant_id, seq, at, kind, actor, task_id, body, hash) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [entry.tenant_id, entry.seq, entry.at, entry.kind, entry.actor, task_id, entry.body, entry.hash],
    )
    connection.execute("update audit_head set seq = %s, hash = %s", [entry.seq, entry.hash])
    return entry.seq


def decide(
    connection: "Connection[TupleRow]",
    history: History,
    task_id: UUID,
    *,
    verdict: str = "approve",
    final: bool = True,
    sha256: bytes | None = None,
    seq: int | None = None,
) -> None:
    audit_seq = recorded(connection, history, task_id) if seq is None else seq
    sha256 = history.staged_sha256 if sha256 is None else sha256
    connection.execute(
        "insert into decision (tenant_id, task_id, attempt, verdict, result_sha256, final, reasons, policy_version, "
        "decided_by, decided_at, audit_seq) values (%s, %s, 1, %s, %s, %s, '[]', 'p', 'eve', now(), %s)",
        [history.tenant_id, task_id, verdict, sha256, final, audit_seq],
    )


def commit(
    connection: "Connection[TupleRow]", history: History, task_id: UUID, sha256: bytes, attempt: int = 1
) -> None:
    connection.execute(
        "insert into commit (tenant_id, task_id, attempt, result_sha256, committed_at) values (%s, %s, %s, %s, now())",
        [history.tenant_id, task_id, attempt, sha256],
    )


def test_an_approved_result_can_be_committed(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        decide(connection, history, history.staged)
        commit(connection, history, history.staged, history.staged_sha256)
        connection.execute("set constraints all immediate")


def test_nothing_is_committed_without_a_decision(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
        commit(connection, history, history.staged, history.staged_sha256)


@pytest.mark.parametrize(("verdict", "final"), [("hitl", False), ("deny", False), ("deny", True)])
def test_nothing_is_committed_without_an_approving_decision(
    session: Session, history: History, verdict: str, final: bool
) -> None:
    with session("judge", history.tenant_id) as connection:
        decide(connection, history, history.staged, verdict=verdict, final=final)
        with pytest.raises(errors.ForeignKeyViolation):
            commit(connection, history, history.staged, history.staged_sha256)


def test_nothing_but_the_very_bytes_that_were_approved_is_committed(session: Session, history: History) -> None:
    for sha256, attempt in ((bytes(32), 1), (history.staged_sha256, 2)):
        with session("judge", history.tenant_id) as connection:
            decide(connection, history, history.staged)
            with pytest.raises(errors.ForeignKeyViolation):
                commit(connection, history, history.staged, sha256, attempt)


def test_a_commit_does_not_call_itself_anything_but_approved(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        decide(connection, history, history.staged, verdict="deny")
        with pytest.raises(errors.CheckViolation):
            connection.execute(
                "insert into commit (tenant_id, task_id, attempt, verdict, result_sha256, committed_at) "
                "values (%s, %s, 1, 'deny', %s, now())",
                [history.tenant_id, history.staged, history.staged_sha256],
            )


def test_a_table_of_the_judge_s_own_does_not_stand_in_for_the_decisions(session: Session, history: History) -> None:
    # Temporary tables come first on the search path, and anybody may make them.
    with session("judge", history.tenant_id) as connection, suppress(errors.InsufficientPrivilege):
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
    with session("judge", history.tenant_id) as connection:
        decide(connection, history, history.staged)
        commit(connection, history, history.staged, history.staged_sha256)
        with pytest.raises(errors.UniqueViolation):
            commit(connection, history, history.staged, history.staged_sha256)


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_task_has_one_final_decision(session: Session, history: History, verdict: str) -> None:
    with session("judge", history.tenant_id) as connection:
        decide(connection, history, history.staged, verdict="deny")
        with pytest.raises(errors.UniqueViolation):
            decide(connection, history, history.staged, verdict=verdict, sha256=b"")


@pytest.mark.parametrize(("verdict", "final"), [("approve", False), ("hitl", True)])
def test_approving_ends_a_task_and_asking_does_not(
    session: Session, history: History, verdict: str, final: bool
) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        decide(connection, history, history.staged, verdict=verdict, final=final)


def test_a_decision_needs_its_audit_entry(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
        decide(connection, history, history.staged, seq=10**6)
    with session("judge", history.tenant_id) as connection:
        of_another_task = recorded(connection, history, history.denied)
        with pytest.raises(errors.ForeignKeyViolation):
            decide(connection, history, history.staged, seq=of_another_task)


def test_a_decision_is_on_a_result_that_is_there(session: Session, history: History) -> None:
    for task_id, sha256 in ((history.staged, bytes(32)), (history.queued, history.staged_sha256)):
        with session("judge", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
            decide(connection, history, task_id, sha256=sha256)


# What several people must approve.


def commit_edited(connection: "Connection[TupleRow]", history: History, sha256: bytes) -> None:
    decide(connection, history, history.in_review, sha256=sha256)
    commit(connection, history, history.in_review, sha256)


def approval(
    connection: "Connection[TupleRow]", history: History, who: str, sha256: bytes, seq: int | None = None
) -> None:
    seq = recorded(connection, history, history.in_review, "review.approved") if seq is None else seq
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
    with session("judge", history.tenant_id) as connection:
        _, edited = versions(connection, history)
        with pytest.raises(errors.ForeignKeyViolation, match="as many people's approvals"):
            commit_edited(connection, history, edited)
    with session("judge", history.tenant_id) as connection:
        approval(connection, history, "eve", edited)
        commit_edited(connection, history, edited)


def test_approvals_of_one_version_do_not_commit_another(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        staged, edited = versions(connection, history)
        approval(connection, history, "eve", edited)
        with pytest.raises(errors.ForeignKeyViolation, match="as many people's approvals"):
            commit_edited(connection, history, staged)


def test_one_person_approves_a_version_once(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        _, edited = versions(connection, history)
        approval(connection, history, "eve", edited)
        with pytest.raises(errors.UniqueViolation):
            approval(connection, history, "eve", edited)


def test_an_approval_has_its_audit_entry_by_the_same_person(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
        _, edited = versions(connection, history)
        with pytest.raises(errors.ForeignKeyViolation, match="audit entry"):
            approval(connection, history, "bob", edited)  # the entry is eve's
    for kind in ("task.decided", "review.claimed"):
        with session("judge", history.tenant_id) as connection:
            seq = recorded(connection, history, history.in_review, kind)
            with pytest.raises(errors.ForeignKeyViolation, match="audit entry"):
                approval(connection, history, "eve", edited, seq)
    with session("judge", history.tenant_id) as connection:
        of_another_task = recorded(connection, history, history.denied, "review.approved")
        with pytest.raises(errors.ForeignKeyViolation, match="audit entry"):
            approval(connection, history, "eve", edited, of_another_task)


def test_an_approval_is_of_what_the_card_has_shown(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation, match="version"):
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
    ],
)
def test_a_card_asks_what_it_was_opened_for(session: Session, history: History, change: str) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(errors.CheckViolation, match="kept"):
        connection.execute(f"update review_card set {change}".encode())


def test_a_decided_card_stays_decided(session: Session, history: History) -> None:
    for change in ("status = 'approved'", "decided_by = 'ann'", "note = 'x'", "revision = 9"):
        with session("judge", history.tenant_id) as connection:
            connection.execute("update review_card set status = 'denied', decided_by = 'eve', decided_at = now()")
            with pytest.raises(errors.CheckViolation, match="kept"):
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
    with session("judge", history.tenant_id) as connection:
        connection.execute(insert, [2])
        connection.rollback()
    with session("judge", history.tenant_id) as connection:
        if status == "denied":
            connection.execute("update review_card set status = 'denied', decided_by = 'eve', decided_at = now()")
        with pytest.raises((errors.ForeignKeyViolation, errors.UniqueViolation)):
            connection.execute(insert, [number])


def test_a_revision_is_stored_under_the_hash_of_its_bytes(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        connection.execute(
            "insert into revision (tenant_id, card_id, number, task_id, attempt, outcome, sha256, reasons, "
            "policy_version, edited_by) "
            "select tenant_id, card_id, 2, task_id, attempt, '{}', sha256('{ }'), '[]', 'p', 'eve' from review_card"
        )


def test_shared_state_changes_with_a_commit_only(session: Session, history: History) -> None:
    with session("judge", history.tenant_id) as connection:
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
    with session("judge", history.tenant_id) as connection:
        connection.execute("update task set replan = %s where task_id = %s", [replan, history.queued])
        with pytest.raises(errors.CheckViolation):
            connection.execute("update task set state = 'denied' where task_id = %s", [history.queued])


def test_who_plans_changes_a_task_only_while_it_waits_for_its_planner(session: Session, history: History) -> None:
    with session("app", history.tenant_id) as connection:
        changed = connection.execute("update task set input = '{}' where true")
        assert changed.rowcount == 0


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
    with session("judge", history.tenant_id) as connection:
        connection.execute("update task set replans = 5 where task_id = %s", [history.staged])
        with pytest.raises(errors.CheckViolation):
            connection.execute("update task set replans = replans + 1 where task_id = %s", [history.staged])


def stage(connection: "Connection[TupleRow]", history: History, outcome: str, hashed: str, attempt: int = 1) -> None:
    connection.execute(
        "insert into result (tenant_id, task_id, attempt, agent_id, outcome, sha256, started_at, finished_at) "
        "values (%s, %s, %s, gen_random_uuid(), %s, sha256(convert_to(%s, 'UTF8')), now(), now())",
        [history.tenant_id, history.running, attempt, outcome, hashed],
    )


def test_a_result_is_stored_under_the_hash_of_its_bytes(session: Session, history: History) -> None:
    outcome = '{"kind": "success",  "output": "ü"}'
    with session("worker", history.tenant_id) as connection:
        stage(connection, history, outcome, outcome)
    with session("worker", history.tenant_id) as connection, pytest.raises(errors.CheckViolation):
        stage(connection, history, outcome, outcome.replace("  ", " "))


def test_a_result_is_of_a_task_and_its_present_attempt(session: Session, history: History) -> None:
    with session("worker", history.tenant_id) as connection, pytest.raises(errors.ForeignKeyViolation):
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
        "update state set version = 0",
        "update tenant set tenant_id = 'Not Valid'",
    ],
)
def test_what_contradicts_itself_is_refused(session: Session, history: History, statement: str) -> None:
    with session("owner", history.tenant_id) as connection, pytest.raises(errors.IntegrityError):
        connection.execute(statement.encode())


# Migrations.


def test_upgrading_again_changes_nothing(servers: dict[str, str]) -> None:
    migrations = Migrations(servers["CHIMERA_OWNER_DATABASE_URL"])
    assert migrations.current() == migrations.head()
    assert migrations.upgrade([]) == migrations.head()
