"""Checkpoints of the audit: see m0010_checkpoint.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
