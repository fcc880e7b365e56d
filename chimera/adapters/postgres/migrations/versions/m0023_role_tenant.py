"""Logins bound to one tenant: see m0023_role_tenant.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
