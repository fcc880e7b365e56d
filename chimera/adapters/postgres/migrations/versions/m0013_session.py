"""Sessions: see m0013_session.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
