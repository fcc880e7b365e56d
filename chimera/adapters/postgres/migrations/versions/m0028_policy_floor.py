"""What a default's floor says of tenants: see m0028_policy_floor.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
