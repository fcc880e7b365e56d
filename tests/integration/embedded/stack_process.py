"""Run the embedded servers on a data folder until SIGTERM; with `--deaf`, until killed.

Started by the tests as `python stack_process.py DATA_DIR`; prints `ready` once the servers answer.
"""

import os
import signal
import sys
from pathlib import Path

from chimera.adapters.embedded import EmbeddedServers


def main() -> None:
    end, never = {signal.SIGTERM}, {signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, end | never)
    with EmbeddedServers(Path(sys.argv[1]), {"PATH": os.environ["PATH"]}, durable=False):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.sigwait(never if "--deaf" in sys.argv else end)


main()
