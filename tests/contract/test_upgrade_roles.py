"""The owner may lack CREATEROLE: then somebody else makes the roles, from statements that are printed for them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from chimera.adapters.embedded.database_urls import ROLES
from chimera.adapters.embedded.servers import EmbeddedServers
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.migrate import Migrations
from chimera.adapters.postgres.stores.credential_store import CredentialStore
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.errors import StoreRefused
from tests.shell import environment

OWNER_URL, *ROLE_URLS = ROLES


@dataclass(frozen=True)
class Cluster:
    env: dict[str, str]
    superuser_url: str

    @property
    def migrations(self) -> Migrations:
        return Migrations(self.env[OWNER_URL])

    @property
    def role_urls(self) -> list[str]:
        return [self.env[name] for name in ROLE_URLS]

    def as_superuser(self, statements: str) -> None:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute(statements.encode())


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL without Chimera's roles, whose owner may not make any."""
    folder = Path(tempfile.mkdtemp(prefix="chimera-tests-")).resolve()
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    environ = {"PATH": os.environ["PATH"], "CHIMERA_REDIS_URL": "redis://127.0.0.1:1"}
    try:
        with EmbeddedServers(folder, environ, durable=False) as servers:
            owner = urlsplit(servers.variables[OWNER_URL])
            secret = (folder / "passwords.json").read_text().partition('"postgres": "')[2].partition('"')[0]
            address = owner.netloc.rpartition("@")[2]
            superuser = urlunsplit(owner._replace(netloc=f"postgres:{secret}@{address}"))
            made = Cluster(dict(servers.variables), superuser)
            made.as_superuser("alter role chimera_owner nocreaterole")
            yield made
    finally:
        shutil.rmtree(folder)


def test_who_lacks_createrole_is_told_and_the_statements_are_for_who_has_it(cluster: Cluster) -> None:
    with pytest.raises(StoreRefused) as refused:
        cluster.migrations.upgrade(cluster.role_urls)
    said = str(refused.value)
    assert 'the role "chimera_owner" may not make roles (it has no CREATEROLE)' in said
    assert "chimera_app, chimera_worker, chimera_judge, chimera_seal, chimera_review, chimera_writer" in said
    assert "`chimera db upgrade --print-roles-sql`" in said
    assert cluster.migrations.current() is None

    statements = cluster.migrations.roles_sql(cluster.role_urls)
    for url in cluster.role_urls:
        assert str(urlsplit(url).password) not in statements
    cluster.as_superuser(statements)
    cluster.as_superuser(statements)  # what is there stays

    assert cluster.migrations.upgrade(cluster.role_urls) == cluster.migrations.head()
    for url in cluster.role_urls:
        with closing(Database(url, 1)) as database, database.transaction("acme") as connection:
            connection.execute("select current_tenant()")

    with closing(Database(cluster.env[OWNER_URL], 1)) as database:
        TenantStore(database).add("acme", "ann")
        with pytest.raises(StoreRefused, match='the owner may not make the login "chimera_app_acme"') as refused:
            CredentialStore(database).make("acme", {"app": "secret"}, "0" * 64, "ann")
    assert "with admin option" in str(refused.value)


def test_a_login_that_the_owner_cannot_set_is_named(cluster: Cluster) -> None:
    cluster.as_superuser(cluster.migrations.roles_sql(cluster.role_urls))
    app = urlsplit(cluster.role_urls[0])
    changed = urlunsplit(app._replace(netloc=app.netloc.replace(str(app.password), "an0ther")))
    with pytest.raises(StoreRefused) as refused:
        cluster.migrations.upgrade([changed, *cluster.role_urls[1:]])
    assert 'may not set the login of "chimera_app"' in str(refused.value)
    assert "an0ther" not in str(refused.value)

    cluster.as_superuser(cluster.migrations.roles_sql([changed]))
    cluster.migrations.upgrade([changed, *cluster.role_urls[1:]])


def test_roles_without_a_url_are_made_without_a_login(cluster: Cluster) -> None:
    cluster.as_superuser(cluster.migrations.roles_sql([]))
    with psycopg.connect(cluster.superuser_url) as connection:
        logins = connection.execute(
            "select rolname, rolcanlogin from pg_roles where rolname like 'chimera_%'"
        ).fetchall()
    assert sorted(logins) == [
        ("chimera_app", False), ("chimera_judge", False), ("chimera_owner", True), ("chimera_review", False),
        ("chimera_seal", False),
        ("chimera_worker", False), ("chimera_writer", False),
    ]  # fmt: skip


def test_an_owner_that_may_not_give_functions_to_the_writer_is_told(cluster: Cluster) -> None:
    cluster.as_superuser(cluster.migrations.roles_sql([]))
    cluster.as_superuser("revoke chimera_writer from chimera_owner")
    with pytest.raises(StoreRefused, match=r'the role "chimera_owner" is not a member of chimera_writer\. Fix: '):
        cluster.migrations.upgrade([])


def test_an_owner_without_a_right_on_the_database_is_one_line(cluster: Cluster) -> None:
    cluster.as_superuser(cluster.migrations.roles_sql([]))
    cluster.as_superuser("alter database chimera owner to postgres")
    with pytest.raises(StoreRefused, match=r"^PostgreSQL refused: permission denied for schema public \(42501\)$"):
        cluster.migrations.upgrade([])


def test_the_command_prints_them_and_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "chimera.cli.main", "db", "upgrade", "--print-roles-sql"],
        env=environment() | cluster.env | {"CHIMERA_DATA": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert cluster.migrations.current() is None
    cluster.as_superuser(done.stdout)
    assert cluster.migrations.upgrade(cluster.role_urls) == cluster.migrations.head()
