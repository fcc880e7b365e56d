"""When a stack that starts is ready, and when it will never be."""

import re
import socket
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

from chimera.errors import EmbeddedServerError

READY_WITHIN_SECONDS = 120.0
# The supervisor's first pause before it starts a process again; it doubles each time.
RESTART_DELAY_SECONDS = 0.5
# Longer than the first pause: a process may end once while the stack starts, and not twice.
AWAY_SECONDS = 2 * RESTART_DELAY_SECONDS

_CELERY_WORKER = re.compile(r"\bcelery\b.*\bworker\b")
_WORKERS_ANSWER_SECONDS = 0.1
# All load for two seconds of computing at once, and nothing waits for these. Later on they need next to
# nothing, which at this niceness they get also beside workers that take all there is (sched(7), autogroup).
_GIVES_WAY = frozenset({"beat", "flower"})
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


class Readiness:
    """Looks whether the processes of a Procfile answer. Made before they start."""

    def __init__(self, commands: Mapping[str, str], log_dir: Path, flower_port: int) -> None:
        """Notes where the logs end now.

        Args:
            commands: the Procfile, by name.
            log_dir: where each process has its <name>.log.
            flower_port: where Flower will listen; 0 for no Flower to wait for.
        """
        from chimera.adapters.embedded.log_file import size

        self._logs = {name: log_dir / f"{name}.log" for name in commands}
        self._logged = {name: size(log) for name, log in self._logs.items()}
        self._workers = sum(bool(_CELERY_WORKER.search(line)) for line in commands.values())
        self._flower_port = flower_port

    def wait(self, alive: Callable[[], Mapping[str, int]], rest: Callable[[], None]) -> None:
        """Returns when every Celery worker answers, and Flower listens.

        Args:
            alive: the processes that are alive now, and their ids.
            rest: called between looks; it waits a moment.

        Raises:
            EmbeddedServerError: a process ended again and again, or they take too long.
        """
        deadline = monotonic() + READY_WITHIN_SECONDS
        deaths = Deaths(self._logs)
        _give_way(alive())

        def until(answers: Callable[[], bool]) -> None:
            while not answers():
                rest()
                if name := deaths.given_up(alive(), monotonic()):
                    raise self._broken(name)
                if monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"the processes {', '.join(self._logs)} do not all answer after {READY_WITHIN_SECONDS:g} s; "
                        f"their logs are in {next(iter(self._logs.values())).parent}"
                    )

        if self._workers:
            from chimera.cli.stack.workers import asking

            with asking() as ask:
                until(lambda: len(ask(_WORKERS_ANSWER_SECONDS, self._workers)) >= self._workers)
        if self._flower_port:
            until(lambda: _listens(self._flower_port))

    def _broken(self, name: str) -> EmbeddedServerError:
        from chimera.adapters.embedded.log_file import last_lines

        log = self._logs[name]
        return EmbeddedServerError(
            f"{name} ended again and again while the stack started. Fix what its log ({log}) says, and start "
            f"again:\n{last_lines(log, since=self._logged[name])}"
        )


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
