"""The logins of the audit's seal and of people, and the role that writes for the logins: see m0020_roles.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
