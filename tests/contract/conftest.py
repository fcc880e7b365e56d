"""Every contract runs twice: on the fakes, and on the real adapters."""

import pytest

from chimera.adapters.postgres.database import Database
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene
from tests.contract.worlds import FakeWorld, PostgresWorld, World


@pytest.fixture(scope="session")
def postgres_world(
    owner_database: Database, app_database: Database, worker_database: Database, judge_database: Database
) -> PostgresWorld:
    return PostgresWorld(owner_database, app_database, worker_database, judge_database)


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
    world.tenants.add(tenant_id, "tests")
    return tenant_id


@pytest.fixture
def scene(world: World, tenant: str) -> Scene:
    return Scene(world, tenant)


@pytest.fixture
def stranger(world: World) -> Scene:
    """The same for another tenant."""
    tenant_id = new_tenant_id()
    world.tenants.add(tenant_id, "tests")
    return Scene(world, tenant_id)
