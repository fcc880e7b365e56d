"""Servers of a module's own: the sweep of the shared swarm would send these tests' waves to its own workers."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from tests.conftest import new_tenant_id, running_servers


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    with running_servers() as env:
        yield env


@pytest.fixture
def tenant(servers: dict[str, str]) -> str:
    with closing(Database(servers["CHIMERA_OWNER_DATABASE_URL"], 1)) as owner:
        tenant_id = new_tenant_id()
        TenantStore(owner).add(tenant_id, "tests")
    return tenant_id
