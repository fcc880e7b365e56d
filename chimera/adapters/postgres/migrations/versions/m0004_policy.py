"""Policies as data: see m0004_policy.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
