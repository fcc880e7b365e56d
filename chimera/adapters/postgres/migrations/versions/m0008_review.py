"""Quorum, revisions and approvals of review cards: see m0008_review.sql."""

from chimera.adapters.postgres.migrations.script import run_script

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    """Runs the SQL file beside this one."""
    run_script(__file__)
