"""Setting aside and settling through functions: see m0027_budget_functions.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
