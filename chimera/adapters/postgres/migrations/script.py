"""Running a migration's SQL."""

from pathlib import Path

from alembic import op


def run_script(migration: str) -> None:
    """Runs the SQL file beside a migration, as it is.

    Args:
        migration: the `__file__` of the migration.
    """
    script = Path(migration).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script)
