"""An index for what people did: see m0014_audit_index.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
