"""The login of the process that seals the audit: see m0021_seal.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
