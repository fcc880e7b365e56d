"""Every guard that a run of chaos can do without is still where the mutation looks for it."""

import subprocess
import sys

import pytest

from chimera.chaos.mutations import Guard


@pytest.mark.parametrize("guard", Guard)
def test_a_guard_can_be_taken_away(guard: Guard) -> None:
    # In a process of its own, which then is without it.
    script = f"from chimera.chaos.mutations import Guard, take_away; take_away(Guard({guard.value!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
