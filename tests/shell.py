"""The environment of somebody's shell, for commands that tests start."""

import os

# What configures Chimera; and what would have each command measure which of its lines ran.
_NOT_OF_A_SHELL = ("CHIMERA_", "CELERY_", "COVERAGE_")


def environment() -> dict[str, str]:
    """That of this process, without what nobody's shell has."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OF_A_SHELL)}
