"""Workers claim and stage through functions: see m0028_worker_functions.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
