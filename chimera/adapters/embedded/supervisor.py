"""Run the processes of a Procfile: start them, start again what dies, stop them without losing a task."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from chimera.adapters.embedded.account import SAME_USER, Account
from chimera.adapters.embedded.deaths import Death, write_deaths
from chimera.adapters.embedded.launch import launch
from chimera.adapters.embedded.log_file import last_lines, size
from chimera.adapters.embedded.own_variables import kinds, own_variables
from chimera.adapters.embedded.procfile import read_procfile
from chimera.adapters.embedded.restarts import Restarts
from chimera.errors import EmbeddedServerError

# What takes in work is told to stop first, and has little to finish.
STOPPED_FIRST = ("beat", "web", "flower")
FIRST_GRACE_SECONDS = 10.0
# Of the log of a process that has died.
_LINES_KEPT = 5


@dataclass(kw_only=True)
class _Process:
    """One entry of the Procfile, and the child that runs it."""

    name: str
    command: str
    log: Path
    restarts: Restarts
    child: subprocess.Popen[bytes] | None = None
    # Of the last child that has ended by itself.
    exit_code: int | None = None
    # Since the start of the stack.
    death: Death | None = None
    # On the monotonic clock: when the child was started, and when the next one is due, if it is.
    started_at: float = 0.0
    due_at: float | None = None
    # The bytes that were in the log when the child was started.
    logged: int = 0

    def ended(self) -> int | None:
        """The exit code of a child that has ended; negative for a signal."""
        return self.child.poll() if self.child else None

    def kill_group(self) -> None:
        """Kill what is left of the child and of all that it started."""
        if self.child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)


class Supervisor:
    """The processes of a Procfile as children of this process, each in a session of its own.

    Without threads and signal handlers: call `start()`, then `poll()` a few times a second until told to end,
    then `stop()`, all from one thread. If this process is killed, the kernel kills the children (Linux).
    """

    def __init__(
        self,
        procfile: Path,
        *,
        env: Mapping[str, str],
        cwd: Path,
        log_dir: Path,
        grace_seconds: float = 75.0,
        restart_delay_seconds: float = 0.5,
        workers_as: Account | None = None,
    ) -> None:
        """Read the Procfile; nothing runs yet.

        Args:
            procfile: `name: command` lines; /bin/sh expands $VAR and ${VAR} from `env`.
            env: the children's environment; each gets of Chimera's logins and keys only its own (own_variables.py), and
                the folder of this Python's programs is put first on PATH.
            cwd: the folder they run in.
            log_dir: where each one's output is appended to <name>.log (mode 0600).
            grace_seconds: how long `stop()` lets a worker finish its tasks.
            restart_delay_seconds: how long the first restart waits; each one after it twice as long, up to a minute.
                There is no last one: what keeps a worker from its work must not end the servers that keep the work.
            workers_as: the user that workers run as, unless they judge too; None: this process's own.

        Raises:
            EmbeddedServerError: the Procfile cannot be read.
        """
        programs = str(Path(sys.executable).parent)
        self._workers_as = workers_as
        self._env = dict(env) | {"PATH": os.pathsep.join([programs, env.get("PATH", os.defpath)])}
        self._cwd = cwd
        self._log_dir = log_dir
        self._grace_seconds = grace_seconds
        self._log = structlog.get_logger()
        self._processes = [
            _Process(
                name=name,
                command=command,
                log=log_dir / f"{name}.log",
                restarts=Restarts(limit=None, first_delay_seconds=restart_delay_seconds),
            )
            for name, command in read_procfile(procfile).items()
        ]

    def start(self) -> None:
        """Start every process, in the Procfile's order; it does not wait until they are ready.

        Raises:
            EmbeddedServerError: one cannot be started; those before it are stopped again.
        """
        self._log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_deaths(self._log_dir, [])
        try:
            for process in self._processes:
                self._launch(process)
        except BaseException:
            self.stop()
            raise

    def poll(self) -> None:
        """Start again what has died, once its delay has passed; returns at once."""
        for process in self._processes:
            if (code := process.ended()) is not None:
                self._note_death(process, code)
            if process.due_at is not None and time.monotonic() >= process.due_at:
                try:
                    self._launch(process)
                except (EmbeddedServerError, OSError) as exc:  # the machine has no room for one more
                    self._log.warning("process_not_started", process=process.name, error=str(exc))
                    process.child = None
                    self._await_restart(process)

    def stop(self) -> None:
        """End all processes: all are told at once, what takes in work first; workers get time to finish their tasks.

        Only each main process gets the SIGTERM, as Celery's own children must live to finish. What has not
        ended after its grace is killed with all that it started. Safe to call twice.
        """
        first = [process for process in self._processes if process.name in STOPPED_FIRST]
        first.sort(key=lambda process: STOPPED_FIRST.index(process.name))
        rest = [process for process in self._processes if process.name not in STOPPED_FIRST]
        for process in self._processes:
            process.due_at = None
        for process in (*first, *rest):
            if process.child:
                process.child.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        self._await_end(first, told_at + min(FIRST_GRACE_SECONDS, self._grace_seconds))
        self._await_end(rest, told_at + self._grace_seconds)

    def pids(self) -> dict[str, int]:
        """The process ids of the children that are alive, by name."""
        return {each.name: each.child.pid for each in self._processes if each.child and each.child.poll() is None}

    def exit_codes(self) -> dict[str, int]:
        """The exit code of the last child that ended by itself, by name; negative for a signal."""
        return {each.name: each.exit_code for each in self._processes if each.exit_code is not None}

    def last_words(self, name: str) -> str:
        """The last lines that the last child of this name has logged, and none before it."""
        process = next(each for each in self._processes if each.name == name)
        return last_lines(process.log, since=process.logged)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, process: _Process) -> None:
        process.started_at = time.monotonic()
        process.due_at = None
        process.logged = size(process.log)
        env, identity = own_variables(process.command, self._env), SAME_USER
        if self._workers_as and list(kinds(process.command, self._env)) == ["worker"]:
            # Libraries look into the home folder, and take one that they may not enter for an error.
            env, identity = env | {"HOME": "/nonexistent"}, self._workers_as.identity()
        # `exec`: the child is the program itself. `env`: the command may begin with NAME=value.
        process.child = launch(
            ["/bin/sh", "-c", f"exec env {process.command}"],
            cwd=self._cwd,
            env=env,
            log=process.log,
            death_signal=signal.SIGKILL,
            identity=identity,
        )
        self._log.info("process_started", process=process.name, pid=process.child.pid)

    def _note_death(self, process: _Process, code: int) -> None:
        process.kill_group()
        process.child, process.exit_code = None, code
        said = last_lines(process.log, count=_LINES_KEPT, since=process.logged)
        times = process.death.times + 1 if process.death else 1
        process.death = Death(process=process.name, times=times, exit_code=code, at=datetime.now(UTC), said=said)
        write_deaths(self._log_dir, [each.death for each in self._processes if each.death])
        delay = self._await_restart(process)
        facts = {"exit_code": code, "times": times, "restart_in_seconds": delay, "log": str(process.log)}
        self._log.warning("process_died", process=process.name, **facts, says=said)

    def _await_restart(self, process: _Process) -> float:
        """Sets when it is started again; returns the seconds until then."""
        now = time.monotonic()
        delay = process.restarts.next_delay_seconds(now - process.started_at)
        assert delay is not None, "there is no limit"
        process.due_at = now + delay
        return delay

    def _await_end(self, processes: Iterable[_Process], deadline: float) -> None:
        for process in processes:
            if process.child is None:
                continue
            try:
                process.child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.warning("process_killed", process=process.name)
            process.kill_group()
            process.child.wait()
            process.child = None
