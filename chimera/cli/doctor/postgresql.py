"""PostgreSQL, role by role, and the schema in it."""

from collections.abc import Iterator

from chimera.cli.context import command
from chimera.cli.doctor.finding import Finding, Status

OLDEST_POSTGRES = 150000  # as libpq numbers versions


def postgres(name: str, role: str) -> Iterator[Finding]:
    """Whether PostgreSQL lets this role in."""
    from chimera.adapters.postgres.database import Database
    from chimera.settings import settings

    url = getattr(settings(), f"{role}_database_url")
    if url is None:
        status = Status.FAIL if role == "app" else Status.WARN
        yield Finding(name, status, "has no address", f"set CHIMERA_{role.upper()}_DATABASE_URL")
        return
    database = Database(url.get_secret_value(), pool_size=1)
    try:
        with database.transaction() as connection:
            version = connection.info.server_version
    finally:
        database.close()
    detail = f"PostgreSQL {version // 10000}.{version % 10000} at {database.address}"
    if version < OLDEST_POSTGRES:
        yield Finding(name, Status.FAIL, detail, "Chimera needs PostgreSQL 15 or later")
    else:
        yield Finding(name, Status.OK, detail)


def schema(name: str) -> Iterator[Finding]:
    """Whether the schema is the one that this code needs."""
    from chimera import bootstrap

    migrations = bootstrap.migrations()
    current, head = migrations.current(), migrations.head()
    if current == head:
        yield Finding(name, Status.OK, f"at {head}")
    else:
        yield Finding(name, Status.FAIL, f"at {current or 'nothing'}, not {head}", f"`{command('db', 'upgrade')}`")
