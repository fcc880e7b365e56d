"""Pausing plans, and trying again what failed: see m0003_plan_control.sql."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs the SQL file beside this one, as it is."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script)
