"""What a tenant's own logins are made of."""

import pytest

from chimera.adapters.celery.signer import Signer
from chimera.adapters.login_maker import LoginMaker
from chimera.errors import InvalidInput

BROKER = "redis://:secret@broker:6379/3"
KEYS = (b"k" * 32, b"o" * 32)


def maker(
    database_url: str = "postgresql://chimera_owner:secret@db:5432/agents", broker_url: str = BROKER
) -> LoginMaker:
    return LoginMaker(database_url, broker_url, Signer(KEYS))


def test_no_password_is_that_of_another() -> None:
    passwords = {maker().password() for _ in range(100)}
    assert len(passwords) == 100
    assert {len(password) for password in passwords} == {48}


@pytest.mark.parametrize(
    ("owner", "own"),
    [
        ("postgresql://chimera_owner:secret@db:5432/agents", "postgresql://role:new@db:5432/agents"),
        ("postgresql://owner@a:1,b:2/agents?sslmode=require", "postgresql://role:new@a:1,b:2/agents?sslmode=require"),
        (
            "host=db dbname=agents user=owner password=secret",
            "host=db dbname=agents user=owner password=secret user='role' password='new'",
        ),
    ],
)
def test_the_database_is_the_owner_s(owner: str, own: str) -> None:
    assert maker(database_url=owner).database_url("role", "new") == own


def test_what_has_a_meaning_in_a_url_is_escaped() -> None:
    assert (
        maker().database_url("chimera_app_a.0f", "p@ss:word/")
        == "postgresql://chimera_app_a.0f:p%40ss%3Aword/@db:5432/agents"
    )


@pytest.mark.parametrize("url", [BROKER, "rediss://broker:6379/3"])
def test_the_broker_is_the_deployment_s(url: str) -> None:
    scheme = url.partition("://")[0]
    assert maker(broker_url=url).broker_url("tenant.acme", "new") == f"{scheme}://tenant.acme:new@broker:6379/3"


@pytest.mark.parametrize("url", ["sentinel://a:1;sentinel://b:1", "redis://a:1;redis://b:1", "unix:///run/broker.sock"])
def test_of_several_servers_or_a_socket_there_is_no_own_login(url: str) -> None:
    with pytest.raises(InvalidInput, match="of one server"):
        maker(broker_url=url).broker_url("tenant.acme", "new")


def test_its_key_signs_into_its_own_queue_alone() -> None:
    keys = [bytes.fromhex(key) for key in maker().message_key("tenant.acme").split(",")]
    own, every = Signer(keys, only="tenant.acme"), Signer(KEYS)
    assert len(keys) == len(KEYS)
    assert every.is_of(b"content", own.sign(b"content", "tenant.acme"), "tenant.acme")
    assert not set(keys) & {*KEYS, *every.keys_of("tenant.other"), *every.keys_of("judge")}
