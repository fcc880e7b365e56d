"""PostgreSQL, role by role, and the schema in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from chimera.adapters.postgres.diagnosis import Login

OLDEST_POSTGRES = 150000  # as libpq numbers versions


def postgres(name: str, role: str) -> Iterator[Finding]:
    """Whether PostgreSQL lets this role in, and whether it has the rights of this role and of no other."""
    from chimera.adapters.postgres.database import Database
    from chimera.adapters.postgres.diagnosis import login
    from chimera.settings import settings

    url = getattr(settings(), f"{role}_database_url")
    if url is None:
        status = Status.FAIL if role == "app" else Status.WARN
        yield Finding(name, status, "has no address", f"set CHIMERA_{role.upper()}_DATABASE_URL")
        return
    database = Database(url.get_secret_value(), pool_size=1)
    try:
        found = login(database)
    finally:
        database.close()
    version = found.server_version
    detail = f"PostgreSQL {version // 10000}.{version % 10000} at {database.address}"
    if version < OLDEST_POSTGRES:
        yield Finding(name, Status.FAIL, detail, "Chimera needs PostgreSQL 15 or later")
    else:
        yield _of_rights(name, role, found) or Finding(name, Status.OK, detail)


def _of_rights(name: str, role: str, login: "Login") -> Finding | None:
    """What is wrong with the rights of a login that is to do the work of `role`."""
    variable = f"CHIMERA_{role.upper()}_DATABASE_URL"
    who = f'{variable} logs in as "{login.role}"'
    if login.may_work_as is not None and role not in login.may_work_as:
        has = f"the rights of {' and '.join(sorted(login.may_work_as))}" if login.may_work_as else "no rights in it"
        return Finding(name, Status.FAIL, f"{who}, which has {has}, not those of {role}", _own_login(variable, role))
    if login.passes_row_security:
        fix = "give it a role that is no superuser and has no BYPASSRLS (SECURITY.md)"
        return Finding(name, Status.WARN, f"{who}, which row-level security does not hold", fix)
    # Who owns the tables has every right on them.
    if login.may_work_as is not None and role != "owner" and login.may_work_as != {role}:
        others = " and ".join(sorted(login.may_work_as - {role}))
        return Finding(
            name, Status.WARN, f"{who}, which has the rights of {others} as well", _own_login(variable, role)
        )
    return None


def _own_login(variable: str, role: str) -> str:
    if role == "owner":
        return f"set {variable} to the login that owns Chimera's tables"
    return f"set {variable} to the login of chimera_{role}, whose password `{command('db', 'upgrade')}` sets"


def schema(name: str) -> Iterator[Finding]:
    """Whether the schema is the one that this code needs."""
    from chimera import bootstrap

    migrations = bootstrap.migrations()
    current, head = migrations.current(), migrations.head()
    if current == head:
        yield Finding(name, Status.OK, f"at {head}")
    else:
        yield Finding(name, Status.FAIL, f"at {current or 'nothing'}, not {head}", f"`{command('db', 'upgrade')}`")
