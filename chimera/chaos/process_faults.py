"""Faults of the Celery processes: killed, or stopped for a while."""

import contextlib
import json
import os
import signal

from chimera.chaos.environment import BEATS, JUDGE, WORKER
from chimera.chaos.faults import Fault, NotInjected, Registry, send, wake
from chimera.chaos.fleet import children_of


@Registry.of("child_killed", "judge_child_killed")
class ChildKilled(Fault):
    """A child of a pool; of the worker's, the one that began a task last, if it still lives."""

    def inject(self) -> None:  # noqa: D102  see Fault
        judges = self.draw.kind.name.startswith(JUDGE)
        children = self.world.fleet.children(JUDGE if judges else WORKER)
        latest = [] if judges else latest_pids(self.world.runs_file.read_bytes()[-4096:])
        busy = [pid for pid in latest if pid in children]
        send(busy[-1] if busy else self.choose(children), signal.SIGKILL)


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


def latest_pids(tail: bytes) -> list[int]:
    """The processes in the last lines of a journal of runs, the latest last."""
    lines = tail.split(b"\n")[1:-1]  # the first may be cut off
    return [json.loads(line)["pid"] for line in lines]
