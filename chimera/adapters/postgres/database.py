"""Transactions in the scope of one tenant, on connections of one role."""

import json
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from itertools import takewhile
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolTimeout

from chimera.adapters.postgres.unavailable import address_of, unavailable
from chimera.errors import StoreRefused

CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 3.0
POOL_RECONNECT_SECONDS = 2.0
# A server whose machine is gone is noticed after some 12 s. Seconds, and milliseconds for the last.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 12_000}


def _read_json(text: str | bytes) -> Any:
    """A stored value; None, as where it was erased, for what Python cannot hold: too deep, or too long a number."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


set_json_loads(_read_json)

_SCOPE = """
select set_config('chimera.tenant', %(tenant)s, true), set_config('chimera.isolation', %(isolation)s, true),
       -- Tables grow from empty to full within a minute: a plan made for the empty one must not be kept.
       set_config('plan_cache_mode', 'force_custom_plan', true),
       -- A process that stops in the middle of a transaction must not hold its locks against everybody else.
       set_config('idle_in_transaction_session_timeout', '10s', true),
       set_config('lock_timeout', '15s', true)
"""

# A reader of a whole audit may write it to a slow place meanwhile; it holds no locks that anybody waits for.
# Its joins get more memory, 256 MB each at the most, and one process: a million rows take two thirds of the work then.
_LONG_READ = """
select set_config('idle_in_transaction_session_timeout', '10min', true), set_config('timezone', 'UTC', true),
       set_config('work_mem', '128MB', true),
       set_config('max_parallel_workers_per_gather', '0', true)
"""


class Database:
    """The connections of one role; opened at first use, so never before a fork.

    Args:
        url: the login.
        pool_size: of its connections.
        isolation: where this process runs skills and planners, if it does: CHIMERA_ISOLATION.
        is_alone: nobody but this speaks over its connections, as a skill in the same process could. Then none is
            asked, before each transaction, whether it still answers as it should.
    """

    def __init__(self, url: str, pool_size: int, isolation: str = "trusted", *, is_alone: bool = False) -> None:
        self._url = url
        self._isolation = isolation
        self._is_alone = is_alone
        self._pool_size = pool_size
        self._pool: ConnectionPool[psycopg.Connection[DictRow]] | None = None
        self._opening = threading.Lock()

    @contextmanager
    def snapshot(self, tenant_id: str) -> Iterator[psycopg.Connection[DictRow]]:
        """A transaction that only reads, and sees this tenant's rows as they are now for as long as it takes.

        Raises:
            StoreUnavailable, StoreRefused: as `transaction`.
        """
        with self._translated(), self._opened().connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute(_SCOPE, self._scope(tenant_id))
            connection.execute(_LONG_READ)
            yield connection

    @contextmanager
    def transaction(self, tenant_id: str = "") -> Iterator[psycopg.Connection[DictRow]]:
        """A transaction that sees this tenant's rows; committed at the end, rolled back on any exception.

        Without a tenant it sees what the role's own policies allow: the judge's sweep plans and waves of
        all tenants, the owner tenants.

        Raises:
            StoreUnavailable: there is no connection, or it broke; nothing of the transaction is done, but
                where it broke during the commit it may be. LoginRefused where the server answers and refuses.
            StoreRefused: PostgreSQL refused a statement: a rule of the schema, or the role's rights.
        """
        with self._translated(), self._opened().connection() as connection, connection.pipeline():
            connection.execute(_SCOPE, self._scope(tenant_id))
            yield connection
            # Within the pipeline: it travels with what is under way, and needs no round trip of its own.
            connection.commit()

    def _scope(self, tenant_id: str) -> dict[str, str]:
        return {"tenant": tenant_id, "isolation": self._isolation}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Lets no error of the driver out."""
        try:
            yield
        except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout, PoolTimeout) as exc:
            raise unavailable(self._url, exc) from exc
        except psycopg.errors.UndefinedTable:
            raise StoreRefused(
                f"the database at {self.address} does not have Chimera's schema: run `chimera db upgrade`"
            ) from None
        except psycopg.Error as exc:
            # Not chained: the driver's text quotes the row, and rows hold what no log may.
            constraint = f", {exc.diag.constraint_name}" if exc.diag.constraint_name else ""
            message = exc.diag.message_primary or type(exc).__name__
            raise StoreRefused(f"PostgreSQL refused: {message} ({exc.sqlstate}{constraint})") from None

    @property
    def address(self) -> str:
        """Host, port and database, without user and password."""
        return address_of(self._url)

    def close(self) -> None:
        """Closes the connections; the next transaction opens new ones."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _opened(self) -> ConnectionPool[psycopg.Connection[DictRow]]:
        with self._opening:
            if self._pool is None:
                # A first connection outside of the pool: the pool retries in the background, where a
                # server that is not there would show as nothing but a timeout.
                psycopg.connect(self._url, connect_timeout=CONNECT_TIMEOUT_SECONDS).close()
                self._pool = ConnectionPool(
                    self._url,
                    kwargs={"row_factory": dict_row, "connect_timeout": CONNECT_TIMEOUT_SECONDS, **_KEEPALIVE},
                    min_size=1,
                    max_size=self._pool_size,
                    timeout=POOL_TIMEOUT_SECONDS,
                    # The next caller tries again: waiting longer and longer between attempts would outlast an outage.
                    reconnect_timeout=POOL_RECONNECT_SECONDS,
                    # A server that was restarted costs a round trip here, at the most, and nobody an error.
                    check=_check if self._is_alone else ConnectionPool.check_connection,
                    open=True,
                )
                self._pool.wait(CONNECT_TIMEOUT_SECONDS)
            return self._pool


def _check(connection: psycopg.Connection[DictRow]) -> None:
    """Asks the server only where it may have said that it goes.

    Nothing comes by itself over a connection that waits, but its end, and the news before it. Where the server's
    machine is gone neither comes: that shows in the transaction, as in a question before it.
    """
    news = select.poll()
    news.register(connection.fileno(), select.POLLIN)
    if news.poll(0):
        ConnectionPool.check_connection(connection)


class Statement(NamedTuple):
    """A statement of a .sql file."""

    name: str
    # The comment after the name: what the statement is for.
    sentence: str
    sql: str


@cache
def read_statements(package: str, file: str) -> tuple[Statement, ...]:
    """The statements of a package's .sql file: each begins with `-- name: <its name>`, then comments."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    found = []
    for part in text.split("-- name: ")[1:]:
        name, _, sql = part.partition("\n")
        comment = takewhile(lambda line: line.startswith("--"), sql.splitlines())
        found.append(Statement(name.strip(), " ".join(line.removeprefix("-- ") for line in comment), sql.strip()))
    return tuple(found)


@cache
def statements(name: str) -> dict[str, str]:
    """The statements of `sql/<name>.sql` by their names."""
    assert __package__ is not None
    return {statement.name: statement.sql for statement in read_statements(__package__, f"sql/{name}.sql")}


def columns(rows: list[tuple[Any, ...]], names: str) -> dict[str, list[Any]]:
    """Rows turned into one array for each name, as `unnest` takes them: a whole set in one statement."""
    keys = names.split()
    values: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in keys]
    return dict(zip(keys, values, strict=True))
