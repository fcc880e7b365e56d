"""Exports that wait to be sealed: see m0025_audit_export.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
