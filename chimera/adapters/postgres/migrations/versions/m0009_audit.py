"""The audit by month, what can be erased, and what direct SQL could still do: see m0009_audit.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
