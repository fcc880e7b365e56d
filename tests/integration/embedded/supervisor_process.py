"""Supervise a Procfile until killed. Started as `python supervisor_process.py FOLDER`; prints `ready`."""

import os
import signal
import sys
from pathlib import Path

from chimera.adapters.embedded import Supervisor


def main() -> None:
    folder = Path(sys.argv[1])
    with Supervisor(folder / "Procfile", env=os.environ, cwd=folder, log_dir=folder / "logs"):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.pause()


main()
