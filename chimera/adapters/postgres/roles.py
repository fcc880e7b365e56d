"""Chimera's database roles: whether they are there, their logins, and the statements that make them."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from chimera.adapters.postgres.database import statements
from chimera.adapters.postgres.unavailable import ROLES, WRITER
from chimera.errors import InvalidInput, StoreRefused

_CONNECT_TIMEOUT_SECONDS = 5
_FIX = (
    "Fix: have who may make roles run what `chimera db upgrade --print-roles-sql` prints, and then run "
    "`chimera db upgrade` again"
)
_HEAD = """\
-- Chimera's roles, with the passwords of their CHIMERA_..._DATABASE_URLs as hashes; for a superuser of the cluster,
-- or a role with CREATEROLE. Roles that are there are not made again.
"""


def require_roles(connection: psycopg.Connection) -> None:
    """Sees that the migrations find their roles, or may make them.

    Raises:
        StoreRefused: roles are missing, and this connection's role has no CREATEROLE; or it may not give the
            writer the functions that are to be its own.
    """
    missing = _row(connection, "missing", {"roles": [*ROLES, WRITER]})[0]
    role, may_make = _row(connection, "may_make", {})
    if missing and not may_make:
        raise StoreRefused(
            f'the role "{role}" may not make roles (it has no CREATEROLE), and {", ".join(missing)} are missing. {_FIX}'
        )
    if WRITER not in missing and not _row(connection, "is_writer", {"writer": WRITER})[0]:
        try:
            with connection.transaction():
                connection.execute(_writer_statement(role))
        except psycopg.errors.InsufficientPrivilege as exc:
            raise StoreRefused(f'the role "{role}" is not a member of {WRITER}. {_FIX}') from exc


def set_logins(connection: psycopg.Connection, role_urls: Iterable[str]) -> None:
    """Lets the role of each URL log in with the URL's password; a role that is none of Chimera's is left alone.

    Raises:
        InvalidInput: a URL has no password.
        StoreRefused: this connection's role may not set a login, and it is not that of the URL already.
    """
    for url in role_urls:
        for role, hashed in _login(connection, url):
            try:
                with connection.transaction():
                    connection.execute(_login_statement(role, hashed))
            except psycopg.errors.InsufficientPrivilege as exc:
                if not _lets_in(url):
                    who, _ = _row(connection, "may_make", {})
                    raise StoreRefused(f'the role "{who}" may not set the login of "{role}". {_FIX}') from exc


def roles_sql(connection: psycopg.Connection, role_urls: Iterable[str]) -> str:
    """The statements that make Chimera's roles and let those log in that have a URL.

    Raises:
        InvalidInput: a URL has no password.
    """
    made = [
        f"do $$ begin\n    create role {role} nologin;\nexception when duplicate_object then null;\nend $$;\n"
        for role in (*ROLES, WRITER)
    ]
    owner, _ = _row(connection, "may_make", {})
    made.append(f"{_writer_statement(owner).as_string(connection)};\n")
    logins = [
        f"{_login_statement(role, hashed).as_string(connection)};\n"
        for url in role_urls
        for role, hashed in _login(connection, url)
    ]
    return "".join([_HEAD, *made, *logins])


def _login(connection: psycopg.Connection, url: str) -> Iterator[tuple[str, str]]:
    """The role of a URL and its hashed password, where it is one of Chimera's."""
    parts = urlsplit(url)
    role, password = unquote(parts.username or ""), unquote(parts.password or "")
    if role not in ROLES:
        return
    if not password:
        raise InvalidInput(f"the database URL of {role} has no password")
    # Hashed here, so that no log of statements shows it.
    yield role, connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()


def _login_statement(role: str, hashed: str) -> sql.Composed:
    return sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(hashed))


def _writer_statement(owner: str) -> sql.Composed:
    """What lets the owner of the schema give functions to the writer."""
    return sql.SQL("grant {} to {}").format(sql.Identifier(WRITER), sql.Identifier(owner))


def _lets_in(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def _row(connection: psycopg.Connection, name: str, values: dict[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(statements("roles")[name].encode(), values).fetchone()
    assert row is not None
    return row
