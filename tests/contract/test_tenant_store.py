"""Tenants, as their administrator sees them."""

import pytest

from chimera.errors import ChimeraError
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene
from tests.contract.worlds import PostgresWorld, World, stores


@pytest.fixture
def world(postgres_world: PostgresWorld) -> World:
    """The real one alone: there is no port to this store, and no fake."""
    return postgres_world


def test_a_tenant_is_added_once(world: World) -> None:
    tenant_id = new_tenant_id()
    assert stores(world).tenants.add(tenant_id, "ann")
    assert not stores(world).tenants.add(tenant_id, "bob")


def test_adding_a_tenant_begins_its_audit(world: World) -> None:
    tenant_id = new_tenant_id()
    stores(world).tenants.add(tenant_id, "ann")
    stores(world).tenants.add(tenant_id, "bob")
    [entry] = Scene(world, tenant_id).entries()
    assert (entry.seq, entry.kind, entry.actor, entry.plan_id) == (1, "tenant.added", "ann", None)


def test_tenants_are_listed_by_id(world: World, scene: Scene, stranger: Scene) -> None:
    listed = [tenant.tenant_id for tenant in stores(world).tenants.list_tenants()]
    assert {scene.tenant_id, stranger.tenant_id} <= set(listed)
    assert listed == sorted(listed)


@pytest.mark.parametrize("tenant_id", ["Upper", "a" * 64, "line\n"])
def test_an_id_that_is_no_tenant_id_is_refused(world: World, tenant_id: str) -> None:
    with pytest.raises(ChimeraError):
        stores(world).tenants.add(tenant_id, "ann")
    assert tenant_id not in [tenant.tenant_id for tenant in stores(world).tenants.list_tenants()]
