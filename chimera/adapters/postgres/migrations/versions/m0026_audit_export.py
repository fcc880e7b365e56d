"""Exports that wait to be sealed: see m0026_audit_export.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
