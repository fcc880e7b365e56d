"""Logins that are one tenant's own: who has some, that the sweep sees the same, and what is on record of them."""

from collections.abc import Iterator

import pytest

from chimera.adapters.postgres.database import Database
from chimera.errors import StoreRefused, UnknownTenant
from chimera.models.work.bound import BoundTenant, LoginKind, bound_role
from chimera.ports.credential_store import CredentialStore
from tests.conftest import new_tenant_id
from tests.contract.scene import Scene, facts_of

PASSWORDS: dict[LoginKind, str] = {"app": "a" * 48, "worker": "b" * 48}


@pytest.fixture
def credentials(scene: Scene) -> Iterator[CredentialStore]:
    yield scene.world.credentials
    scene.world.credentials.revoke(scene.tenant_id, "ann")


def bound(scene: Scene) -> list[BoundTenant]:
    found = [each for each in scene.world.credentials.bound_tenants() if each.tenant_id == scene.tenant_id]
    assert [each for each in scene.world.sweep.bound_tenants() if each.tenant_id == scene.tenant_id] == found
    return found


def recorded(scene: Scene) -> list[tuple[str, str, list[str]]]:
    entries = [entry for entry in scene.entries() if entry.kind.startswith("tenant.credentials")]
    return [(entry.kind, entry.actor, facts_of(entry)["roles"]) for entry in entries]


def test_a_tenant_gets_a_login_for_each_role(scene: Scene, credentials: CredentialStore) -> None:
    roles = credentials.make(scene.tenant_id, PASSWORDS, "1" * 64, "ann")
    assert roles == {"app": bound_role("app", scene.tenant_id), "worker": bound_role("worker", scene.tenant_id)}
    assert bound(scene) == [BoundTenant(tenant_id=scene.tenant_id, broker_sha256="1" * 64)]
    assert recorded(scene) == [("tenant.credentials", "ann", sorted(roles.values()))]


def test_made_again_they_have_new_passwords(scene: Scene, credentials: CredentialStore) -> None:
    first = credentials.make(scene.tenant_id, PASSWORDS, "1" * 64, "ann")
    assert credentials.make(scene.tenant_id, PASSWORDS, "2" * 64, "bob") == first
    assert bound(scene) == [BoundTenant(tenant_id=scene.tenant_id, broker_sha256="2" * 64)]
    assert [actor for _, actor, _ in recorded(scene)] == ["ann", "bob"]


def test_what_is_revoked_is_nobody_s(scene: Scene, credentials: CredentialStore) -> None:
    roles = credentials.make(scene.tenant_id, PASSWORDS, "1" * 64, "ann")
    assert sorted(credentials.revoke(scene.tenant_id, "bob")) == sorted(roles.values())
    assert bound(scene) == []
    assert credentials.revoke(scene.tenant_id, "bob") == []
    assert [(kind, actor) for kind, actor, _ in recorded(scene)] == [
        ("tenant.credentials", "ann"),
        ("tenant.credentials_revoked", "bob"),
    ]


def test_a_tenant_that_is_none_gets_none(scene: Scene, credentials: CredentialStore) -> None:
    with pytest.raises(UnknownTenant):
        credentials.make(new_tenant_id(), PASSWORDS, "1" * 64, "ann")
    assert bound(scene) == []


def test_a_role_of_that_name_that_somebody_else_made_is_left_alone(real_scene: Scene, owner_database: Database) -> None:
    role = bound_role("worker", real_scene.tenant_id)
    with owner_database.transaction() as connection:
        connection.execute(f'create role "{role}" nologin'.encode())
    try:
        with pytest.raises(StoreRefused, match=f'there is a role "{role}" that was not made for this tenant'):
            real_scene.world.credentials.make(real_scene.tenant_id, PASSWORDS, "1" * 64, "ann")
        assert (bound(real_scene), recorded(real_scene)) == ([], [])
    finally:
        with owner_database.transaction() as connection:
            connection.execute(f'drop role "{role}"'.encode())
