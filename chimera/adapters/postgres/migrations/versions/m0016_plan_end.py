"""Plans of which tasks failed: see m0016_plan_end.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
