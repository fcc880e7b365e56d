"""The Celery processes of a run: each is started again a second after it died, however often."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chimera.adapters.embedded.launch import launch
from chimera.errors import EmbeddedServerError

RESTART_SECONDS = 1.0
# A main process that was killed leaves its children behind; a service manager ends them after a while.
ORPHAN_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_MARK = "CHIMERA_CHAOS_RUN"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A process that shall always run."""

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str]


@dataclass(kw_only=True)
class _Running:
    member: Member
    child: subprocess.Popen[bytes] | None = None
    # On the monotonic clock: when it is to be started again, if it is dead.
    due_at: float = 0.0
    starts: int = 0
    orphans: list[tuple[float, int]] = field(default_factory=list)


class Fleet:
    """The processes, started and watched by one thread of its own: they end with it."""

    def __init__(self, members: Sequence[Member], folder: Path) -> None:
        self._folder = folder
        self._running = {member.name: _Running(member=member) for member in members}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fleet", daemon=True)

    def start(self) -> Self:
        """Starts all; does not wait until they are ready."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Kills all, with everything that they started."""
        self._ending.set()
        self._thread.join()
        for running in self._running.values():
            for pid in [running.child.pid if running.child else 0, *(pid for _, pid in running.orphans)]:
                self._kill_group(pid)
            if running.child:
                running.child.wait()

    @property
    def names(self) -> list[str]:
        """The members."""
        return list(self._running)

    @property
    def starts(self) -> dict[str, int]:
        """How often each was started."""
        return {name: running.starts for name, running in self._running.items()}

    def pid(self, name: str) -> int | None:
        """The main process of a member; None while it is dead."""
        with self._lock:
            child = self._running[name].child
            return child.pid if child is not None and child.poll() is None else None

    def children(self, name: str) -> list[int]:
        """The pool of a member."""
        pid = self.pid(name)
        return [] if pid is None else children_of(pid)

    def log(self, name: str) -> Path:
        """What a member says."""
        return self._folder / f"{name}.log"

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            now = time.monotonic()
            for running in self._running.values():
                self._tend(running, now)

    def _tend(self, running: _Running, now: float) -> None:
        if running.child is not None and running.child.poll() is not None:
            running.orphans.append((now + ORPHAN_SECONDS, running.child.pid))
            with self._lock:
                running.child = None
            running.due_at = now + RESTART_SECONDS
        for due, pid in [each for each in running.orphans if each[0] <= now]:
            self._kill_group(pid)
            running.orphans.remove((due, pid))
        if running.child is None and now >= running.due_at:
            self._launch(running)

    def _launch(self, running: _Running) -> None:
        member = running.member
        env = {**member.env, _MARK: str(self._folder)}
        try:
            child = launch(
                member.argv, cwd=self._folder, env=env, log=self.log(member.name), death_signal=signal.SIGKILL
            )
        except EmbeddedServerError:  # no memory for a fork, say: tried again with the next look
            running.due_at = time.monotonic() + RESTART_SECONDS
            return
        with self._lock:
            running.child = child
        running.starts += 1

    def _kill_group(self, leader: int) -> None:
        """Ends what is left of a process group, as far as it is ours: ids are used again."""
        mark = f"{_MARK}={self._folder}".encode()
        for pid in group_of(leader):
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    os.kill(pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """The children of a process (proc(5)); none of one that has ended."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def group_of(leader: int) -> list[int]:
    """The living processes of a process group."""
    if leader <= 1:
        return []
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # After the name in parentheses, which may hold anything: state, parent, group.
                fields = (path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == leader:
                    found.append(int(path.name))
    return found
