"""Plans of which tasks failed: see m0015_plan_end.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
