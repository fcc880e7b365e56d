"""When tasks were made, first started and finished: see m0011_task_times.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
