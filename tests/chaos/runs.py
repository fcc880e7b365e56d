"""Runs of `chimera chaos run` as a person starts them: in a process of their own."""

import json
import subprocess
import sys
from typing import Any

from tests.integration.processes import ROOT


def chaos(*options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, report, and what was said on the way."""
    command = [sys.executable, "-m", "chimera.cli.main", "chaos", "run", "-o", "json", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr
