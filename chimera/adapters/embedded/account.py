"""The user that the servers run as: this one, or nobody where this one is root, whom both servers refuse."""

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

from chimera.errors import EmbeddedServerError


class PopenIdentity(TypedDict):
    """The keyword arguments of `subprocess.Popen` that make a child run as another user."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


# Of no user that a system makes, so that nothing else on the machine is theirs.
WORKERS_UID = 61_999
_READS = """
import pathlib, sys
import chimera.errors
for module in pathlib.Path(sys.argv[1]).iterdir():
    module.suffix != ".py" or module.read_bytes()
"""
SAME_USER: PopenIdentity = {"user": None, "group": None, "extra_groups": None}


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of this machine, and whether a child must change to it."""

    name: str
    uid: int
    gid: int
    # True where this process is root and its servers are not.
    switched: bool

    @classmethod
    def for_servers(cls) -> Self:
        """The user that the servers of this process run as.

        Raises:
            EmbeddedServerError: that user has no entry in /etc/passwd; PostgreSQL's initdb needs one.
        """
        root = os.geteuid() == 0
        try:
            entry = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
        except KeyError as exc:
            who = "nobody" if root else f"with the id {os.geteuid()}"
            raise EmbeddedServerError(
                f"This machine knows no user {who} (/etc/passwd), and PostgreSQL's initdb needs its name. "
                "Fix: run as a user that has an entry, or set CHIMERA_OWNER_DATABASE_URL and "
                "CHIMERA_REDIS_URL."
            ) from exc
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switched=root)

    @classmethod
    def for_workers(cls, folder: Path) -> Self | None:
        """A user of their own for workers that run this Python in this folder; None where this process is no root, or
        they could not: what only root enters is on the way.
        """
        if os.geteuid() != 0:
            return None
        account = cls(name=f"user {WORKERS_UID}", uid=WORKERS_UID, gid=WORKERS_UID, switched=True)
        line = [sys.executable, "-c", _READS, str(folder)]
        try:
            done = subprocess.run(line, cwd="/", env={}, capture_output=True, check=False, **account.identity())
        except OSError:
            return None
        return account if done.returncode == 0 else None

    def identity(self) -> PopenIdentity:
        """What `subprocess.Popen` needs to start a child as this user."""
        if not self.switched:
            return SAME_USER
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if self.switched:
            os.chown(path, self.uid, self.gid)

    def let_through(self, folder: Path) -> None:
        """Let this user, where it is another one, pass through a folder that shows nothing to anybody else."""
        if self.switched:
            os.chown(folder, -1, self.gid)
            folder.chmod(0o710)

    def can_run(self, program: Path) -> bool:
        """Whether `program --version` works for this user, its libraries included."""
        try:
            done = subprocess.run([program, "--version"], cwd="/", capture_output=True, check=False, **self.identity())
        except OSError:
            return False
        return done.returncode == 0

    def closed_folder(self, folder: Path) -> Path | None:
        """The outermost of a folder and its parents that this user cannot enter; None if all are open."""
        if self._enters(folder):
            return None
        return next((each for each in reversed(folder.parents) if not self._enters(each)), folder)

    def _enters(self, folder: Path) -> bool:
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", 'cd "$1"', "sh", folder],
                cwd="/",
                capture_output=True,
                check=False,
                **self.identity(),
            )
        except OSError:
            return False
        return done.returncode == 0
