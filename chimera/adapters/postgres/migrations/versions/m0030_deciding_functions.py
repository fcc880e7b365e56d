"""Deciding through functions: see m0030_deciding_functions.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
