"""What all tests share: the real servers, started once for all, and for each test a tenant of its own."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
import structlog

from chimera.adapters.embedded.servers import EmbeddedServers
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.migrate import Migrations
from chimera.adapters.postgres.stores.tenant_store import TenantStore

pytest_plugins = ["tests.exhaustive", "tests.shared_fixtures"]

POOL_SIZE = 4


def pytest_configure() -> None:
    """Has the commands that tests start hear a Ctrl-C: a shell's background job, and all it starts, ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def uncached_loggers() -> Iterator[None]:
    """A logger that keeps to how it wrote first, as workers' do, is deaf to `capture_logs` in later tests."""
    configure = structlog.configure

    def configure_uncached(**settings: Any) -> None:
        configure(**settings | {"cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", configure_uncached)
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """PostgreSQL with the present schema and Valkey; the variables by which processes find them."""
    with running_servers() as env:
        yield env


@contextmanager
def running_servers() -> Iterator[dict[str, str]]:
    # Not tmp_path: where the tests run as root, the servers do not, and cannot pass through its parents.
    folder = Path(tempfile.mkdtemp(prefix="chimera-tests-")).resolve()
    folder.chmod(0o755 if os.geteuid() == 0 else 0o700)
    # Servers that this environment names are somebody's own: no test adds its tenants there.
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    try:
        with EmbeddedServers(folder, environ, durable=False) as running:
            env = dict(running.variables)
            roles = [env[f"CHIMERA_{role}_DATABASE_URL"] for role in ("APP", "WORKER", "JUDGE", "SEAL", "REVIEW")]
            Migrations(env["CHIMERA_OWNER_DATABASE_URL"]).upgrade(roles)
            secret = json.loads((folder / "passwords.json").read_text())["postgres"]
            owner = urlsplit(env["CHIMERA_OWNER_DATABASE_URL"])
            address = owner.netloc.rpartition("@")[2]
            env["SUPERUSER_DATABASE_URL"] = urlunsplit(owner._replace(netloc=f"postgres:{secret}@{address}"))
            yield env
    finally:
        shutil.rmtree(folder)


def _database_of(role: str) -> Any:
    """A fixture: the database over the role's login."""

    @pytest.fixture(scope="session", name=f"{role}_database")
    def opened(servers: dict[str, str]) -> Iterator[Database]:
        with closing(Database(servers[f"CHIMERA_{role.upper()}_DATABASE_URL"], POOL_SIZE)) as database:
            yield database

    return opened


owner_database = _database_of("owner")
app_database = _database_of("app")
worker_database = _database_of("worker")
judge_database = _database_of("judge")
seal_database = _database_of("seal")
review_database = _database_of("review")


@pytest.fixture
def tenant(owner_database: Database) -> str:
    """The id of a tenant that no other test knows."""
    tenant_id = new_tenant_id()
    TenantStore(owner_database).add(tenant_id, "tests")
    return tenant_id


def new_tenant_id() -> str:
    return f"t-{uuid4().hex[:16]}"
