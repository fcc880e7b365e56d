"""Upgrading a database that the release before this one has filled, and which that one goes on using."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic import command

from chimera.adapters.postgres.migrate import Migrations
from chimera.errors import StoreRefused

# The last revision of the release before.
BEFORE = "0010"

# As that release stores a plan: it knows of no session's record and of no task's times.
PLAN = """insert into plan (tenant_id, plan_id, session_id, planner, goal, inputs, priority, request_sha256, trace_id,
    state, task_count, first_audit_seq, submitted_at)
    values ('acme', %s, %s, 'p', '', '{}', 50, '', 't', 'running', 1, 1, %s)"""
WAVE = """insert into wave (tenant_id, plan_id, wave_no, priority, has_dependencies, task_count)
    values ('acme', %s, 0, 50, false, 1)"""
TASK = """insert into task (tenant_id, plan_id, wave_no, ordinal, task_id, skill, input, priority, timeout_seconds,
    max_attempts)
    values ('acme', %s, 0, 0, %s, 'echo', '{}', 50, 1, 3)"""
CLAIM = """update task set state = 'running', attempt = attempt + 1, agent_id = gen_random_uuid(),
    lease_token = gen_random_uuid(), lease_until = now() where task_id = %s"""


@pytest.fixture
def url(servers: dict[str, str]) -> Iterator[str]:
    """A database of its own, as the release before has left it, of the owner of the others."""
    name = f"upgraded_{uuid4().hex[:8]}"
    owner = urlsplit(servers["CHIMERA_OWNER_DATABASE_URL"])
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"create database {name} owner {owner.username}".encode())
        yield urlunsplit(owner._replace(path=f"/{name}"))
        connection.execute(f"drop database {name}".encode())


def bring_to(url: str, revision: str) -> None:
    migrations = Migrations(url)
    with migrations._connection() as connection:
        migrations._config.attributes["connection"] = connection
        command.upgrade(migrations._config, revision)
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.commit()


def stored(connection: "psycopg.Connection[tuple[object, ...]]", session_id: str | None, at: str) -> tuple[UUID, UUID]:
    plan_id, task_id = uuid4(), uuid4()
    connection.execute(PLAN.encode(), [plan_id, session_id, at])
    connection.execute(WAVE.encode(), [plan_id])
    connection.execute(TASK.encode(), [plan_id, task_id])
    return plan_id, task_id


def test_what_is_there_stays_and_the_release_before_goes_on(url: str) -> None:
    bring_to(url, BEFORE)
    with psycopg.connect(url, options="-c chimera.tenant=acme") as connection:
        connection.execute("insert into tenant (tenant_id) values ('acme')")
        _, old = stored(connection, "s", "2026-01-02T00:00Z")
        stored(connection, "s", "2026-01-01T00:00Z")
        stored(connection, None, "2026-01-01T00:00Z")
    bring_to(url, "head")
    with psycopg.connect(url, options="-c chimera.tenant=acme") as connection:
        sessions = connection.execute(
            "select session_id, state, opened_by, opened_at::date::text from session"
        ).fetchall()
        assert sessions == [("s", "open", "app", "2026-01-01")]
        _, new = stored(connection, "t", "2026-01-03T00:00Z")
        for task_id in (old, new):
            assert connection.execute(CLAIM.encode(), [task_id]).rowcount == 1
        times = "select created_at is not null, started_at, finished_at from task where task_id = %s"
        assert connection.execute(times, [old]).fetchone() == (False, None, None)
        assert connection.execute(times, [new]).fetchone() == (True, None, None)
    with psycopg.connect(url, options="-c chimera.tenant=other") as connection:
        assert connection.execute("select count(*) from plan").fetchone() == (0,), "row-level security holds again"
        assert connection.execute("select count(*) from session").fetchone() == (0,)


def test_a_schema_of_a_newer_release_is_left_as_it_is(url: str) -> None:
    bring_to(url, BEFORE)
    with psycopg.connect(url) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(StoreRefused, match="of another release of Chimera, 9999, and this one knows those up to"):
        Migrations(url).upgrade([])
    assert Migrations(url).current() == "9999"
