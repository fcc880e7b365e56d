"""Who held the leases that were lost, and when each attempt was taken: see m0017_lost_lease.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
