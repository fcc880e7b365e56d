"""What skills and planners there are, and what waits for one: see m0012_skill.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
