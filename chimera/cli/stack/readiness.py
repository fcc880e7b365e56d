"""When a stack that starts is ready, and when it will never be."""

import os
import re
import socket
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Protocol

from chimera.errors import EmbeddedServerError

READY_WITHIN_SECONDS = 120.0
# The supervisor's first pause before it starts a process again; it doubles each time.
RESTART_DELAY_SECONDS = 0.5
# Longer than the first pause: a process may end once while the stack starts, and not twice.
AWAY_SECONDS = 2 * RESTART_DELAY_SECONDS

_CELERY_WORKER = re.compile(r"\bcelery\b.*\bworker\b")
# What Flower logs once it listens: the address, and its port.
_FLOWER_PLACE = re.compile(r"Visit me at (https?://[^\s/\"]*:(\d+))")
# All load for two seconds of computing at once, and nothing waits for these. Later on they need next to
# nothing, which at this niceness they get also beside workers that take all there is (sched(7), autogroup).
_GIVES_WAY = frozenset({"beat", "flower", "seal"})
_NICENESS = "10"


class Deaths:
    """How long each process has been away while the stack starts: one that ends again and again does not get well."""

    def __init__(self, names: Iterable[str]) -> None:
        self._away_seconds = dict.fromkeys(names, 0.0)
        self._away: set[str] = set()
        self._seen_at = 0.0

    def given_up(self, alive: Container[str], now: float) -> str | None:
        """The process that was away for too long, if there is one; called again and again with those alive now."""
        passed, self._seen_at = now - self._seen_at, now
        for name in self._away:
            self._away_seconds[name] += passed
        self._away = {name for name in self._away_seconds if name not in alive}
        return next((name for name in self._away if self._away_seconds[name] > AWAY_SECONDS), None)


class Processes(Protocol):
    """The processes of a Procfile, by name."""

    def pids(self) -> Mapping[str, int]:
        """The process ids of those that are alive; each leads a session."""
        ...

    def exit_codes(self) -> Mapping[str, int]:
        """The exit code of each one's last child that has ended."""
        ...

    def last_words(self, name: str) -> str:
        """The last lines that the last child of this name has logged."""
        ...


class Readiness:
    """Looks whether the processes of a Procfile answer. Made before they start."""

    def __init__(
        self,
        commands: Mapping[str, str],
        log_dir: Path,
        flower_port: int,
        *,
        within_seconds: float = READY_WITHIN_SECONDS,
    ) -> None:
        """Notes where the logs end now.

        Args:
            commands: the Procfile, by name.
            log_dir: where each process has its <name>.log.
            flower_port: where Flower will listen; 0 for no Flower to wait for.
            within_seconds: how long all may take.
        """
        from chimera.adapters.embedded.log_file import size

        self._logs = {name: log_dir / f"{name}.log" for name in commands}
        self._logged = {name: size(log) for name, log in self._logs.items()}
        self._workers = [name for name, line in commands.items() if _CELERY_WORKER.search(line)]
        self._flower_port = flower_port
        self._within_seconds = within_seconds

    def wait(self, processes: Processes, rest: Callable[[], None]) -> None:
        """Returns when every Celery worker answers, and Flower listens.

        Args:
            processes: those of the Procfile.
            rest: called between looks; it waits a moment.

        Raises:
            EmbeddedServerError: a process ended again and again, listens elsewhere, or takes too long; the message
                names it and has its last log lines.
        """
        deadline = monotonic() + self._within_seconds
        deaths = Deaths(self._logs)
        _give_way(processes.pids())

        def until(silent: Callable[[], list[str]]) -> None:
            while names := silent():
                rest()
                if name := deaths.given_up(processes.pids(), monotonic()):
                    raise self._broken(name, processes)
                if monotonic() > deadline:
                    raise self._silent(names, processes.pids())

        if self._workers:
            from chimera.cli.stack.workers import looking_at_workers

            answered: dict[str, int] = {}
            with looking_at_workers() as look:
                # Of a stack that was killed just now.
                earlier = {(name, note.pid) for name, note in look().items()}

                def silent_workers() -> list[str]:
                    found = {name: note.pid for name, note in look().items()}
                    answered.update(dict(found.items() - earlier))
                    # Not all can be told apart: a command may start its worker elsewhere.
                    return self._unheard(answered, processes.pids()) if len(answered) < len(self._workers) else []

                until(silent_workers)
        if self._flower_port:
            until(self._silent_flower)

    def _unheard(self, answered: Mapping[str, int], pids: Mapping[str, int]) -> list[str]:
        """The workers none of whose processes has answered; all where that cannot be told."""
        sessions = {_session(pid) for pid in answered.values()}
        return [name for name in self._workers if pids.get(name) not in sessions] or self._workers

    def _silent_flower(self) -> list[str]:
        if _listens(self._flower_port):
            return []
        if (place := _FLOWER_PLACE.search(self._said("flower", lines=200))) and int(place[2]) != self._flower_port:
            raise EmbeddedServerError(
                f"flower listens at {place[1]}, and not on port {self._flower_port}. Have its flowerconfig.py take the "
                "port from CHIMERA_FLOWER_PORT, or set that variable to its port."
            )
        return ["flower"]

    def _broken(self, name: str, processes: Processes) -> EmbeddedServerError:
        code = processes.exit_codes().get(name)
        with_code = "" if code is None else f", the last time with code {code}"
        return EmbeddedServerError(
            f"{name} ended again and again while the stack started{with_code}. Fix what its log ({self._logs[name]}) "
            f"says, and start again:\n{processes.last_words(name)}"
        )

    def _silent(self, names: list[str], pids: Mapping[str, int]) -> EmbeddedServerError:
        each = [
            f"{name} {f'runs (process {pids[name]})' if name in pids else 'is being started again'}; its log "
            f"({self._logs[name]}) says:\n{self._said(name)}"
            for name in names
        ]
        verb = "do" if len(names) > 1 else "does"
        return EmbeddedServerError(
            f"{', '.join(names)} {verb} not answer after {self._within_seconds:g} s. " + "\n".join(each)
        )

    def _said(self, name: str, lines: int = 15) -> str:
        from chimera.adapters.embedded.log_file import last_lines

        return last_lines(self._logs[name], count=lines, since=self._logged[name])


def _give_way(pids: Mapping[str, int]) -> None:
    """Leaves the computing to the others where there is not enough of it, on kernels that group by session."""
    for name in _GIVES_WAY & pids.keys():
        with suppress(OSError):  # it is gone, or this kernel has no such groups
            Path(f"/proc/{pids[name]}/autogroup").write_text(_NICENESS, encoding="ascii")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _session(pid: int) -> int | None:
    """The session of a process of this machine."""
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None
