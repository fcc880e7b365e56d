"""What is looked at where something may be wrong: whose work a database login may do, and the server's clock."""

from dataclasses import dataclass
from datetime import datetime

from chimera.adapters.postgres.database import Database, statements


@dataclass(frozen=True, kw_only=True)
class Login:
    """What a login is found to be."""

    # The role in PostgreSQL.
    role: str
    # Whether no row-level security holds it: it sees all tenants' rows.
    passes_row_security: bool
    # Of owner, app, worker, judge and seal, those whose work it may do; None where the schema is missing.
    may_work_as: frozenset[str] | None
    # As libpq numbers versions: 150004 is 15.4.
    server_version: int


def login(database: Database) -> Login:
    """What the role that this database's connections log in as may do.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; LoginRefused where it refuses the login.
    """
    with database.transaction() as connection:
        row = connection.execute(statements("diagnosis")["rights"].encode()).fetchone()
        assert row is not None
        work = row["may_work_as"]
        return Login(
            role=row["role"],
            passes_row_security=row["passes_row_security"],
            may_work_as=None if work is None else frozenset(work),
            server_version=connection.info.server_version,
        )


def now(database: Database) -> datetime:
    """What time it is by the clock of the database's machine.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    with database.transaction() as connection:
        row = connection.execute(statements("diagnosis")["now"].encode()).fetchone()
        assert row is not None
        at: datetime = row["now"]
        return at
