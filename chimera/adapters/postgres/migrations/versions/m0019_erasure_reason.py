"""Why an erasure closed a card, as a function of the schema: see m0019_erasure_reason.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
