"""Results that name the version of their skill, and finite numbers: see m0025_result_version.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
