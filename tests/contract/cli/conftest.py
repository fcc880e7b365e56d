"""The command line in this process, over a database of each test's own: for commands that use stores without a fake."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.migrate import Migrations
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap import Services
from chimera.bootstrap.adapters import Adapters
from chimera.bootstrap.auditing import Auditing
from chimera.models.work.catalogue import Catalogue
from chimera.settings import Settings
from tests.fakes import FakeAgentRegistry, FakeClock
from tests.unit.cli.conftest import _plain_environment, catalogue, on_terminal, plan_id, run
from tests.unit.cli.swarm import InlineQueue

__all__ = ["_plain_environment", "catalogue", "on_terminal", "plan_id", "run"]

ROLES = ("app", "worker", "judge", "seal", "review", "owner")


class DatabaseAdapters(Adapters):
    """The real stores; what is published is done at once, in this thread."""

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(None, settings, SystemClock())  # type: ignore[arg-type]
        self._services = services

    @cached_property
    def queue(self) -> InlineQueue:
        return InlineQueue(self._services)

    @cached_property
    def agents(self) -> FakeAgentRegistry:
        return FakeAgentRegistry(FakeClock())


class DatabaseServices(Services):
    """The services over the real stores."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        super().__init__(None, settings, catalogue, SystemClock())  # type: ignore[arg-type]

    @cached_property
    def adapters(self) -> DatabaseAdapters:
        return DatabaseAdapters(self._settings, self)

    def load_user_code(self) -> Catalogue:
        return self._catalogue


def close(adapters: Adapters | Auditing) -> None:
    """Closes the databases that were used."""
    for each in vars(adapters).values():
        if isinstance(each, Database):
            each.close()


def _at(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


@pytest.fixture(scope="session")
def template(servers: dict[str, str]) -> str:
    """A database with the present schema, and nothing in it, to make others of."""
    name = f"template_{uuid4().hex[:8]}"
    with psycopg.connect(servers["SUPERUSER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} owner chimera_owner").format(sql.Identifier(name)))
    roles = [
        _at(servers[f"CHIMERA_{role}_DATABASE_URL"], name) for role in ("APP", "WORKER", "JUDGE", "SEAL", "REVIEW")
    ]
    Migrations(_at(servers["CHIMERA_OWNER_DATABASE_URL"], name)).upgrade(roles)
    return name


@pytest.fixture
def tenants() -> list[str]:
    """Those that the database has; a test may have others."""
    return ["acme"]


@pytest.fixture
def services(servers: dict[str, str], template: str, tenants: list[str], catalogue: Catalogue) -> Iterator[Services]:
    """The services over a database with these tenants."""
    name = f"test_{uuid4().hex[:8]}"
    with ExitStack() as undo:
        superuser = undo.enter_context(psycopg.connect(servers["SUPERUSER_DATABASE_URL"], autocommit=True))
        make = sql.SQL("create database {} owner chimera_owner template {}")
        superuser.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
        drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
        undo.callback(superuser.execute, drop)
        urls = {f"{role}_database_url": _at(servers[f"CHIMERA_{role.upper()}_DATABASE_URL"], name) for role in ROLES}
        found = DatabaseServices(Settings.model_validate(urls), catalogue)
        undo.callback(close, found.adapters)
        for tenant_id in tenants:
            found.adapters.tenants.add(tenant_id, "tests")
        yield found
