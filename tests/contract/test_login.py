"""A PostgreSQL that answers and lets nobody in says why, and is not taken for one that does not answer."""

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.migrate import Migrations
from chimera.errors import LoginRefused, StoreUnavailable

PASSWORD = "s3cret-1"


@pytest.fixture
def nologin(servers: dict[str, str]) -> Iterator[str]:
    """A role with a password that may not log in."""
    name = f"r{uuid4().hex[:12]}"
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} nologin password {}").format(sql.Identifier(name), PASSWORD))
        yield name
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def url(servers: dict[str, str], user: str, password: str, database: str = "chimera") -> str:
    parts = urlsplit(servers["CHIMERA_APP_DATABASE_URL"])
    secret = f":{password}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{user}{secret}@{parts.hostname}:{parts.port}", path=f"/{database}"))


def refusal(url: str) -> str:
    with closing(Database(url, 1)) as database, pytest.raises(LoginRefused) as at_work, database.transaction():
        pass
    with pytest.raises(LoginRefused) as at_upgrade:
        Migrations(url).current()
    said = str(at_work.value)
    parts = urlsplit(url)
    assert said.startswith(f"PostgreSQL at {parts.hostname}:{parts.port}{parts.path} ")
    assert str(at_upgrade.value) == said
    assert "does not answer" not in said
    assert PASSWORD not in said
    assert "\n" not in said
    return said


def test_another_password(servers: dict[str, str]) -> None:
    said = refusal(url(servers, "chimera_app", PASSWORD))
    assert 'refuses the login of "chimera_app": its password is another, or there is no such role' in said
    assert "`chimera db upgrade`" in said


def test_a_role_that_is_not_there(servers: dict[str, str]) -> None:
    said = refusal(url(servers, "ghost", PASSWORD))
    assert 'refuses the login of "ghost": its password is another, or there is no such role' in said
    assert "`chimera db upgrade`" not in said


def test_a_role_that_is_not_there_where_no_password_is_asked_for() -> None:
    from chimera.adapters.postgres.unavailable import unavailable

    # The embedded server always asks for one; this is what a server says that trusts, or knows the user.
    said = psycopg.OperationalError('connection failed: FATAL:  role "ghost" does not exist')
    error = unavailable("postgresql://ghost@h:5433/d", said)
    assert isinstance(error, LoginRefused)
    assert str(error).startswith('PostgreSQL at h:5433/d has no role "ghost"')


def test_a_role_that_may_not_log_in(servers: dict[str, str], nologin: str) -> None:
    assert f'does not let "{nologin}" log in' in refusal(url(servers, nologin, PASSWORD))


def test_a_database_that_is_not_there(servers: dict[str, str]) -> None:
    parts = urlsplit(servers["CHIMERA_APP_DATABASE_URL"])
    said = refusal(url(servers, str(parts.username), str(parts.password), "nowhere"))
    assert 'has no database "nowhere"' in said


def test_a_url_without_a_password(servers: dict[str, str]) -> None:
    assert "wants a password, and the URL has none" in refusal(url(servers, "chimera_app", ""))


def test_a_refused_connection_is_none_of_these() -> None:
    nobody = "postgresql://eve:s3cret@127.0.0.1:1/chimera"
    with closing(Database(nobody, 1)) as database, pytest.raises(StoreUnavailable) as caught, database.transaction():
        pass
    assert not isinstance(caught.value, LoginRefused)
    assert "127.0.0.1:1/chimera does not answer" in str(caught.value)
    assert "Connection refused" in str(caught.value)


def test_the_other_form_of_a_url_shows_its_address_and_no_password() -> None:
    with closing(Database("host=127.0.0.1 port=1 dbname=agents user=eve password=s3cret", 1)) as database:
        assert database.address == "127.0.0.1:1/agents"
