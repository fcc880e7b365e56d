"""Commands that run as another user of this machine, which takes root."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

# Shows nothing of a folder that only root enters but one within it; then runs the rest of its arguments.
_SHOWN = """
set -e
kept=$(mktemp -d)
mount --bind "$2" "$kept"
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir -p "$2"
mount --move "$kept" "$2"
rmdir "$kept"
shift 2
exec "$@"
"""


@cache
def where_others_enter() -> list[str]:
    """What stands before a command for other users to be able to run this Python in it."""
    python = Path(sys.base_prefix).resolve()
    closed = next((folder for folder in reversed(python.parents) if not folder.stat().st_mode & 0o001), None)
    return [] if closed is None else ["unshare", "--mount", "sh", "-c", _SHOWN, "sh", str(closed), str(python)]


def as_user(uid: int) -> list[str]:
    """What stands before a command for it to run as this user."""
    return [*where_others_enter(), "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


@cache
def cannot_run() -> str | None:
    """Why no other user can run this Python here; None where one can."""
    if os.geteuid() != 0:
        return "to run something as another user takes root"
    tried = subprocess.run([*as_user(61_800), sys.executable, "-c", ""], capture_output=True, check=False)
    return f"no other user can run {sys.executable}: {tried.stderr.decode()[-200:]}" if tried.returncode else None
