"""The audit by month: what was there before is kept as it was, and no entry is ever without a place."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from chimera.adapters.embedded.servers import EmbeddedServers
from chimera.adapters.postgres import migrate
from chimera.adapters.postgres.migrate import Migrations
from chimera.models.audit.audit import GENESIS, AuditEvent, chain
from chimera.models.audit.kinds import AuditKind
from tests.conftest import new_tenant_id
from tests.contract.direct import Session
from tests.contract.worlds import PostgresWorld

REVISION = "0009"
TENANT = "acme"


@pytest.fixture
def servers_of_before() -> Iterator[dict[str, str]]:
    """A database of its own with the schema before the audit was partitioned."""
    folder = Path(tempfile.mkdtemp(prefix="chimera-tests-")).resolve()
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    try:
        with EmbeddedServers(folder, environ, durable=False) as running:
            url = running.variables["CHIMERA_OWNER_DATABASE_URL"]
            config = Config()
            config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
            before = ScriptDirectory.from_config(config).get_revision(REVISION)
            assert before is not None
            engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
            with engine.connect() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, str(before.down_revision))
            yield dict(running.variables)
    finally:
        shutil.rmtree(folder)


def speak(connection: "Connection[TupleRow]") -> None:
    connection.execute("select set_config('chimera.tenant', %s, true)", [TENANT])


ROWS = "select tenant_id, seq, at, kind, actor, plan_id, task_id, body, hash from audit order by seq"


def test_the_entries_of_before_are_kept_as_they_were(servers_of_before: dict[str, str]) -> None:
    owner_url = servers_of_before["CHIMERA_OWNER_DATABASE_URL"]
    with psycopg.connect(owner_url) as connection:
        speak(connection)
        connection.execute("insert into tenant (tenant_id) values (%s)", [TENANT])
        [now] = connection.execute("select now() - interval '100 days'").fetchone() or ()
        entries = chain(
            TENANT,
            0,
            GENESIS,
            now,
            [AuditEvent(kind=AuditKind.PLAN_PLANNED, actor="a", facts={"n": n}) for n in range(50)],
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into audit (tenant_id, seq, at, kind, actor, body, hash) values (%s, %s, %s, %s, %s, %s, %s)",
                [(e.tenant_id, e.seq, e.at, e.kind, e.actor, e.body, e.hash) for e in entries],
            )
        connection.execute("insert into audit_head values (%s, %s, %s)", [TENANT, 50, entries[-1].hash])
        before = connection.execute(ROWS).fetchall()
        connection.commit()
        roles = [servers_of_before[f"CHIMERA_{role}_DATABASE_URL"] for role in ("APP", "WORKER", "JUDGE")]
        Migrations(owner_url).upgrade(roles)
        speak(connection)
        assert connection.execute(ROWS).fetchall() == before
        assert connection.execute("select count(distinct tableoid) from audit").fetchone() == (1,)
        _append(connection, 51, entries[-1].hash)
        with pytest.raises(errors.IntegrityError, match="continue their tenant's chain"):
            _append(connection, 51, entries[-1].hash, later_months=2)


def _append(connection: "Connection[TupleRow]", seq: int, previous: bytes, later_months: int = 0) -> None:
    """One entry at the chain's end, in this month's partition or a later one's."""
    [at] = connection.execute("select now() + make_interval(months => %s)", [later_months]).fetchone() or ()
    [entry] = chain(TENANT, seq - 1, previous, at, [AuditEvent(kind=AuditKind.PLAN_CANCELLED, actor="a", facts={})])
    connection.execute(
        "insert into audit (tenant_id, seq, at, kind, actor, body, hash) values (%s, %s, %s, %s, %s, %s, %s)",
        [TENANT, entry.seq, entry.at, entry.kind, entry.actor, entry.body, entry.hash],
    )


@pytest.fixture
def tenant_with_entries(postgres_world: PostgresWorld) -> str:
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    return tenant_id


def test_an_entry_of_no_month_has_its_place_and_the_sweep_goes_on(session: Session, tenant_with_entries: str) -> None:
    with session("owner", tenant_with_entries) as connection:
        # As if nobody had made months for a long time: the one that is missing cannot be made any more.
        connection.execute("set local timezone = 'UTC'")
        [name] = connection.execute(
            "select 'audit_' || to_char(date_trunc('month', now()) + interval '3 months', 'YYYY_MM')"
        ).fetchone() or ("",)
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))
        head = connection.execute("select seq, hash from audit_head").fetchone()
        assert head is not None
        [at] = connection.execute("select date_trunc('month', now()) + interval '3 months 5 days'").fetchone() or ()
        event = AuditEvent(kind=AuditKind.PLAN_CANCELLED, actor="a", facts={})
        [entry] = chain(tenant_with_entries, head[0], head[1], at, [event])
        connection.execute(
            "insert into audit (tenant_id, seq, at, kind, actor, body, hash) values (%s, %s, %s, %s, %s, %s, %s)",
            [tenant_with_entries, entry.seq, at, entry.kind, entry.actor, entry.body, entry.hash],
        )
        place = connection.execute("select tableoid::regclass::text from audit order by seq desc limit 1").fetchone()
        assert place == ("audit_default",)
        assert connection.execute("select make_audit_partitions()").fetchone() == (0,)
        assert connection.execute("select count(*) from audit where seq = %s", [entry.seq]).fetchone() == (1,)


def test_a_missing_month_is_made(session: Session) -> None:
    with session("owner") as connection:
        connection.execute("set local timezone = 'UTC'")
        names = [
            f"audit_{row[0]}"
            for row in connection.execute(
                "select to_char(date_trunc('month', now()) + make_interval(months => n), 'YYYY_MM') "
                "from generate_series(2, 3) n"
            )
        ]
        for name in names:
            connection.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))
        assert connection.execute("select make_audit_partitions()").fetchone() == (2,)
        for name in names:
            partition = connection.execute(
                "select relispartition, relrowsecurity, relforcerowsecurity from pg_class where relname = %s", [name]
            ).fetchone()
            assert partition == (True, True, True)


def test_each_partition_has_the_index_of_what_people_did(session: Session) -> None:
    """Who approved what last month is read without the gate's decisions, which are nearly all entries."""
    found = """select count(*) from pg_index
                where indrelid = %s::regclass and pg_get_expr(indpred, indrelid) = '(kind <> ''task.decided''::text)'"""
    with session("owner") as connection:
        partitions = connection.execute(
            "select inhrelid::regclass::text from pg_inherits where inhparent = 'audit'::regclass"
        ).fetchall()
        assert len(partitions) >= 4
        for (partition,) in partitions:
            assert connection.execute(found, [partition]).fetchone() == (1,)
