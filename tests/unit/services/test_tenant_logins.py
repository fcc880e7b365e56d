"""Logins that are one tenant's own."""

from hashlib import sha256

import pytest

from chimera.adapters.celery.signer import Signer
from chimera.adapters.login_maker import LoginMaker
from chimera.errors import InvalidInput, UnknownTenant
from chimera.models.work.bound import OwnLogins
from chimera.services.tenant_logins import TenantLogins
from tests.fakes import FakeCredentialStore
from tests.unit.services.house import TENANT, House

DATABASE = "postgresql://chimera_owner:secret@db:5432/agents"
BROKER = "redis://:secret@broker:6379/3"
SIGNER = Signer([b"k" * 32])


def logins(house: House, broker_url: str = BROKER) -> TenantLogins:
    maker = LoginMaker(DATABASE, broker_url, SIGNER)
    return TenantLogins(FakeCredentialStore(house.database), maker, house.queue, house.agents)


def password_of(url: str, user: str) -> str:
    _, found, rest = url.partition(f"://{user}:")
    assert found, url
    return rest.partition("@")[0]


def test_what_is_given_reaches_the_servers_as_that_tenant(house: House) -> None:
    given = logins(house).give(TENANT, "ann")
    assert (given.tenant_id, given.queue) == (TENANT, f"tenant.{TENANT}")
    passwords = {
        password_of(given.app_database_url, f"chimera_app_{TENANT}"),
        password_of(given.worker_database_url, f"chimera_worker_{TENANT}"),
        password_of(given.redis_url, given.queue),
    }
    assert len(passwords) == 3
    assert given.message_key == SIGNER.keys_of(given.queue)[0].hex()
    assert "secret" not in given.model_dump_json()


def test_the_broker_lets_in_who_has_the_password_that_was_given(house: House) -> None:
    given = logins(house).give(TENANT, "ann")
    [told] = house.queue.let_in
    digest = sha256(password_of(given.redis_url, given.queue).encode()).hexdigest()
    assert (told.tenant_id, told.broker_sha256) == (TENANT, digest)


def test_given_again_only_the_new_ones_count(house: House) -> None:
    known = logins(house)
    first, second = known.give(TENANT, "ann"), known.give(TENANT, "ann")
    secrets = {"redis_url", "app_database_url", "worker_database_url"}
    assert all(getattr(first, name) != getattr(second, name) for name in secrets)
    [told] = house.queue.let_in
    assert told.broker_sha256 == sha256(password_of(second.redis_url, second.queue).encode()).hexdigest()


def test_what_is_revoked_is_let_in_no_more(house: House) -> None:
    known = logins(house)
    known.give(TENANT, "ann")
    assert known.revoke(TENANT, "ann") == [f"chimera_app_{TENANT}", f"chimera_worker_{TENANT}"]
    assert house.queue.bound() == set()
    assert known.revoke(TENANT, "ann") == []


def test_where_the_broker_is_several_servers_nothing_is_made(house: House) -> None:
    with pytest.raises(InvalidInput):
        logins(house, "sentinel://a:1;sentinel://b:1").give(TENANT, "ann")
    assert (house.database.bound_tenants, house.queue.bound()) == ([], set())


def test_a_tenant_that_is_none_gets_none(house: House) -> None:
    with pytest.raises(UnknownTenant):
        logins(house).give("nobody", "ann")
    assert house.queue.bound() == set()


def test_no_secret_is_in_what_is_logged_of_them(house: House) -> None:
    given = logins(house).give(TENANT, "ann")
    secrets = OwnLogins.model_fields.keys() - {"tenant_id", "queue"}
    assert len(secrets) == 4
    assert not [name for name in secrets if getattr(given, name) in repr(given)]
