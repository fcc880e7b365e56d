"""What recovery needs to know of tasks, waves and plans: see m0002_recovery.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
