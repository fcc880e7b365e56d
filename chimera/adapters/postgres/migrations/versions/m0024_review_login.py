"""The login of people's decisions: see m0024_review_login.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
