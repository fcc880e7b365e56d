"""When a skill or planner was declared first and last, one time in a new row: see m0018_declared_at.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
