"""Arms the failpoints of the process that imports it, with what lies in the folder CHIMERA_FAILPOINTS.

A file `<failpoint>@<tenant>` has that failpoint act once for that tenant, in whichever process comes there first;
its text says how: `kill`, `error`, or `pause <seconds>`, which stops the process with all of its threads.
Whoever acts has renamed the file to `<failpoint>@<tenant>.hit` before.
"""

import os
import signal
import subprocess
from pathlib import Path

from chimera.failpoints import Failpoint, arm

_folder = Path(os.environ["CHIMERA_FAILPOINTS"])


class InjectedError(Exception):
    """Raised at a failpoint, as any programming error might be."""


def _act(place: Failpoint, tenant_id: str) -> None:
    path = _folder / f"{place}@{tenant_id}"
    hit = path.with_name(f"{path.name}.hit")
    try:
        path.rename(hit)  # of all who come here, one succeeds
    except FileNotFoundError:
        return
    action, _, seconds = hit.read_text(encoding="utf-8").partition(" ")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "pause":
        # Somebody else has to wake what is stopped.
        subprocess.Popen(["/bin/sh", "-c", f"sleep {float(seconds)}; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        raise InjectedError(f"{place} for {tenant_id}")


arm(_act)
