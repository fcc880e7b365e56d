"""Appending to the audit through a function: see m0022_append_audit.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
