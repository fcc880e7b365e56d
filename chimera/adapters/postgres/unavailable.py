"""Why there is no connection: a server that does not answer, or one that answers and refuses the login."""

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chimera.errors import LoginRefused, StoreUnavailable

# The roles that the migrations make for logins, and the one that owns the functions which write for them.
ROLES = ("chimera_app", "chimera_worker", "chimera_judge", "chimera_seal", "chimera_review")
WRITER = "chimera_writer"

_UPGRADE = "`chimera db upgrade` makes Chimera's roles and gives them the passwords of their URLs"
_OWN = "see that the URL has the user and password of a role of that server"
# What PostgreSQL says of a refused login. It has error codes for them, and libpq does not hand them on. With password
# authentication it does not say which of the two it is: the role that is not there, or the password.
_REFUSALS = (
    (
        re.compile(r'password authentication failed for user "(?P<role>.*)"'),
        'refuses the login of "{role}": its password is another, or there is no such role; {fix}',
    ),
    (re.compile(r'role "(?P<role>.*)" does not exist'), 'has no role "{role}"; {fix}'),
    (re.compile(r'role "(?P<role>.*)" is not permitted to log in'), 'does not let "{role}" log in; {fix}'),
    (re.compile(r"no password supplied"), "wants a password, and the URL has none"),
    (
        re.compile(r'database "(?P<database>.*)" does not exist'),
        'has no database "{database}": create it, and then `chimera db upgrade` its schema',
    ),
    (
        re.compile(r'no pg_hba\.conf entry for .*user "(?P<role>[^"]*)"'),
        'refuses the login of "{role}": nothing in its pg_hba.conf lets that role in from here',
    ),
    (
        re.compile(r'permission denied for database "(?P<database>.*)"'),
        'refuses the login: the role has no CONNECT right on the database "{database}"',
    ),
)


def address_of(url: str) -> str:
    """Host, port and database of a URL, without user and password: `db.example:5432/agents`."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "an address that is no URL"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', parts.get('user', ''))}"


def unavailable(url: str, exc: Exception) -> StoreUnavailable:
    """The error of this project for an error of the driver: LoginRefused where the server did answer."""
    text = str(exc)
    for said, message in _REFUSALS:
        if found := said.search(text):
            names = found.groupdict()
            fix = _UPGRADE if names.get("role") in ROLES else _OWN
            return LoginRefused(f"PostgreSQL at {address_of(url)} {message.format(**names, fix=fix)}")
    first_line = (text.strip().splitlines() or [type(exc).__name__])[0]
    return StoreUnavailable(f"PostgreSQL at {address_of(url)} does not answer ({first_line})")
