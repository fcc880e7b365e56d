"""Bringing a database to the present schema, and its roles to the present passwords."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from chimera.adapters.postgres.roles import require_roles, roles_sql, set_logins
from chimera.adapters.postgres.unavailable import unavailable
from chimera.errors import StoreRefused

# One migration at a time, however many processes start at once.
_ADVISORY_LOCK = 0x6368696D657261  # "chimera"


class Migrations:
    """The schema of the database that the owner's URL names."""

    def __init__(self, owner_url: str) -> None:
        self._owner_url = owner_url
        self._config = Config()
        self._config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))

    def head(self) -> str:
        """The revision that this release needs."""
        return ScriptDirectory.from_config(self._config).get_current_head() or ""

    def current(self) -> str | None:
        """The revision that the database has; None for one without Chimera's schema.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; LoginRefused where it refuses the owner.
        """
        with self._connection() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def upgrade(self, role_urls: list[str]) -> str:
        """Runs the missing migrations, gives each role the login of its URL, and returns the revision.

        A URL of a role that the migrations do not make is left alone: its login is somebody else's.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; LoginRefused where it refuses the owner.
            StoreRefused: the owner lacks a right; where it is to make roles, the message says what to do. Or the
                schema is a newer release's.
        """
        with self._connection() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("select pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
            driver.commit()
            self._require_known(connection)
            require_roles(driver)
            driver.commit()
            self._config.attributes["connection"] = connection
            command.upgrade(self._config, "head")
            set_logins(driver, role_urls)
            driver.commit()
        return self.head()

    def _require_known(self, connection: Connection) -> None:
        found = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in ScriptDirectory.from_config(self._config).walk_revisions()}
        if found is not None and found not in known:
            raise StoreRefused(
                f"the database has the schema of another release of Chimera, {found}, and this one knows those up to "
                f"{self.head()}: run that release or a newer one, or name another database or folder"
            )

    def roles_sql(self, role_urls: list[str]) -> str:
        """The statements by which somebody else makes the roles and their logins; nothing is changed.

        Raises:
            StoreUnavailable: PostgreSQL does not answer; LoginRefused where it refuses the owner.
        """
        with self._connection() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            return roles_sql(driver, role_urls)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        # The driver gets the URL as it is: nothing of it is parsed, so nothing of it is lost.
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(self._owner_url, connect_timeout=5),
            poolclass=NullPool,
        )
        try:
            with engine.connect() as connection:
                yield connection
        except (OperationalError, psycopg.OperationalError) as exc:
            raise unavailable(self._owner_url, getattr(exc, "orig", exc)) from exc
        except (DBAPIError, psycopg.Error) as exc:
            fault = exc.orig if isinstance(exc, DBAPIError) else exc
            if not isinstance(fault, psycopg.Error):
                raise
            raise StoreRefused(f"PostgreSQL refused: {fault.diag.message_primary} ({fault.sqlstate})") from exc
