"""Tenants whose code runs only where it is kept from everybody's logins: see m0032_isolated.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
