"""The text of audit entries, made faster: see m0031_audit_text.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
