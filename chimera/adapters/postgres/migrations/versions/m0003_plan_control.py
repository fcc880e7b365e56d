"""Pausing plans, and trying again what failed: see m0003_plan_control.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
