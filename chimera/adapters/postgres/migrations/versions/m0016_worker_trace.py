"""The trace of a plan's request in a worker's log: see m0016_worker_trace.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
