"""Faults of the Celery processes: killed, or stopped for a while."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from chimera.chaos.environment import BEATS, JUDGE, WORKER
from chimera.chaos.faults import Fault, NotInjected, Registry, send, wake
from chimera.chaos.fleet import children_of

_BUSY_WITHIN_SECONDS = 2.0
# What ends sooner than that has ended when the signal comes.
_AT_LEAST_SECONDS = 0.05
_TAIL_BYTES = 8192


@Registry.of("judge_child_killed")
class JudgeChildKilled(Fault):
    """A child of the Judge's pool."""

    def inject(self) -> None:  # noqa: D102  see Fault
        send(self.choose(self.world.fleet.children(JUDGE)), signal.SIGKILL)


@Registry.of("child_killed")
class ChildKilled(Fault):
    """A child of the worker's pool, in the middle of a task where one comes soon enough."""

    def inject(self) -> None:  # noqa: D102
        deadline = time.monotonic() + _BUSY_WITHIN_SECONDS
        while True:
            children = self.world.fleet.children(WORKER)
            busy = [pid for pid in busy_pids(tail_of(self.world.runs_file), time.time()) if pid in children]
            if busy or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        send(self.choose(busy or children), signal.SIGKILL)


@Registry.of("worker_killed", "worker_main_killed", "judge_killed", "beat_killed")
class ProcessKilled(Fault):
    """A main process, and unless the kind says otherwise its children."""

    def inject(self) -> None:  # noqa: D102
        name = {"worker": WORKER, "judge": JUDGE}.get(self.draw.kind.name.split("_")[0]) or self.choose(BEATS)
        pid = self.world.fleet.pid(name)
        children = [] if pid is None or "main" in self.draw.kind.name else children_of(pid)
        send(pid, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


@Registry.of("worker_stopped", "child_stopped", "judge_stopped", "beat_stopped")
class ProcessStopped(Fault):
    """A process that stands still and then goes on as if nothing had been."""

    _pid: int | None = None

    def inject(self) -> None:  # noqa: D102
        pid = self._chosen()
        send(pid, signal.SIGSTOP)
        self._pid = pid

    def heal(self) -> None:  # noqa: D102
        if self._pid is not None:
            wake(self._pid)

    def _chosen(self) -> int | None:
        fleet = self.world.fleet
        match self.draw.kind.name:
            case "worker_stopped":
                return fleet.pid(WORKER)
            case "child_stopped":
                return self.choose(fleet.children(WORKER))
            case "judge_stopped":
                main = fleet.pid(JUDGE)
                if main is None:
                    raise NotInjected
                return self.choose([main, *children_of(main)])
            case _:
                return fleet.pid(self.choose(BEATS))


def tail_of(path: Path) -> bytes:
    """The last lines of a file, the first of them perhaps cut off."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return file.read()


def busy_pids(tail: bytes, now: float) -> list[int]:
    """The processes that by a journal of runs are in the middle of a task: it began, and takes until later."""
    lines = [json.loads(line) for line in tail.split(b"\n")[1:-1]]
    return [line["pid"] for line in lines if line["at"] + line.get("seconds", 0.0) > now + _AT_LEAST_SECONDS]
