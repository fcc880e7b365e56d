"""Every contract runs twice: on the fakes, and on the real adapters."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow

from chimera.adapters.postgres.database import Database
from tests.conftest import new_tenant_id
from tests.contract.direct import History, Session, live
from tests.contract.scene import Scene
from tests.contract.worlds import FakeWorld, PostgresWorld, World


@pytest.fixture(scope="session")
def postgres_world(
    owner_database: Database,
    app_database: Database,
    worker_database: Database,
    judge_database: Database,
    seal_database: Database,
    review_database: Database,
) -> PostgresWorld:
    return PostgresWorld(owner_database, app_database, worker_database, judge_database, seal_database, review_database)


@pytest.fixture(params=["fake", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        return FakeWorld()
    # Asked for by name, so that the fakes' half of the suite starts no server.
    real: PostgresWorld = request.getfixturevalue("postgres_world")
    return real


@pytest.fixture
def tenant(world: World) -> str:
    """The id of a tenant that no other test knows."""
    tenant_id = new_tenant_id()
    world.add_tenant(tenant_id)
    return tenant_id


@pytest.fixture
def scene(world: World, tenant: str) -> Scene:
    return Scene(world, tenant)


@pytest.fixture
def real_scene(postgres_world: PostgresWorld) -> Scene:
    """A scene on the real stores, for what has no fake."""
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    return Scene(postgres_world, tenant_id)


@pytest.fixture
def stranger(world: World) -> Scene:
    """The same for another tenant."""
    tenant_id = new_tenant_id()
    world.add_tenant(tenant_id)
    return Scene(world, tenant_id)


@pytest.fixture(scope="session")
def session(servers: dict[str, str]) -> Session:
    """Opens a connection as a role, for a tenant; whatever it does is rolled back."""

    @contextmanager
    def opened(role: str, tenant_id: str | None = None) -> Iterator["psycopg.Connection[TupleRow]"]:
        with psycopg.connect(servers[f"CHIMERA_{role.upper()}_DATABASE_URL"]) as connection:
            if tenant_id is not None:
                connection.execute("select set_config('chimera.tenant', %s, true)", [tenant_id])
            yield connection
            connection.rollback()

    return opened


@pytest.fixture(scope="session")
def history(postgres_world: PostgresWorld) -> History:
    """A tenant with at least one row in every table."""
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    return live(Scene(postgres_world, tenant_id))


@pytest.fixture(scope="session")
def other(postgres_world: PostgresWorld) -> str:
    """A tenant that has nothing."""
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    return tenant_id
