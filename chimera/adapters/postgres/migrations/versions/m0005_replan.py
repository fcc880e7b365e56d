"""Denied results back to their planner, and the history of shared state: see m0005_replan.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
