"""Transactions on pooled connections: what a restarted server costs, and what holds at the end."""

import gc
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from chimera.adapters.postgres.database import Database
from chimera.errors import StoreRefused
from tests.contract.scene import Scene
from tests.integration.waiting import eventually

HELD = "select count(*) as held from pg_locks where pid = %s and relation = 'plan'::regclass"


@pytest.fixture(params=[False, True], ids=["shared", "alone"])
def database(servers: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Database]:
    """With one connection, as the app."""
    with closing(Database(servers["CHIMERA_APP_DATABASE_URL"], 1, is_alone=request.param)) as opened:
        yield opened


def backend(database: Database) -> int:
    with database.transaction() as connection:
        row = connection.execute("select pg_backend_pid() as pid").fetchone()
        assert row is not None
        return int(row["pid"])


def test_a_connection_that_the_server_has_ended_is_replaced(database: Database, servers: dict[str, str]) -> None:
    before = backend(database)
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s)", [before])
        gone = "select count(*) from pg_stat_activity where pid = %s"
        eventually(lambda: connection.execute(gone, [before]).fetchone() == (0,))
    assert backend(database) != before


@pytest.mark.parametrize("database", [False], indirect=True)
@pytest.mark.parametrize("statement", ["lock table plan in access share mode", "select 1 / 0"])
def test_one_that_somebody_left_in_a_transaction_is_brought_out_of_it(database: Database, statement: str) -> None:
    # As a skill in the worker's process may.
    before = backend(database)
    for left in [each for each in gc.get_objects() if isinstance(each, psycopg.Connection) and not each.closed]:
        if left.info.backend_pid == before:
            with suppress(psycopg.Error):
                left.execute(statement)
    with database.transaction() as connection:
        held = connection.execute(HELD, [before])
        assert held.fetchone() == {"held": 0}


@pytest.mark.parametrize("database", [True], indirect=True)
def test_one_that_waits_quietly_is_taken_without_asking_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = backend(database)

    def asked(_connection: object) -> None:
        raise AssertionError("a round trip for nothing")

    monkeypatch.setattr(ConnectionPool, "check_connection", asked)
    assert backend(database) == before


def test_what_a_rule_refuses_at_the_end_is_refused_and_not_written(real_scene: Scene, owner_database: Database) -> None:
    planned = real_scene.plan(1)
    real_scene.work_off(planned)
    approve = "update task set state = 'approved', finished_at = clock_timestamp() where task_id = %s"
    with (
        pytest.raises(StoreRefused, match="an approved task needs its commit"),
        owner_database.transaction(real_scene.tenant_id) as connection,
    ):
        connection.execute(approve, planned.ids)
    assert len(real_scene.world.decisions.open_wave(planned.wave).staged) == 1
