"""Budgets: see m0006_budget.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
