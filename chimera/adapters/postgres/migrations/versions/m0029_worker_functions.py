"""Workers claim and stage through functions: see m0029_worker_functions.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
