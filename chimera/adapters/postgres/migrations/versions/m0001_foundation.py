"""Roles, tables, row-level security and grants: see m0001_foundation.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
