"""The process that runs a stack: it starts servers and processes, tends them, and ends them in order."""

import os
import re
import select
import signal
import socket
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from chimera.cli.output import say
from chimera.errors import EmbeddedServerError

if TYPE_CHECKING:
    from chimera.adapters.embedded import EmbeddedServers, Supervisor

READY_WITHIN_SECONDS = 120.0
# The supervisor's first pause before it starts a process again; it doubles each time.
RESTART_DELAY_SECONDS = 0.5
# Longer than the first pause: a process may end once while the stack starts, and not twice.
AWAY_SECONDS = 2 * RESTART_DELAY_SECONDS
TEND_EVERY_SECONDS = 0.25
_CELERY_WORKER = re.compile(r"\bcelery\b.*\bworker\b")


class Child(StrEnum):
    """How a stack in the background belongs to the process that started it."""

    ATTACHED = "attached"  # it ends when that process does
    DETACHED = "detached"


class StopAsked(BaseException):
    """SIGTERM or SIGHUP came, or the process that this one belongs to has ended."""


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Turns the first SIGTERM or SIGHUP into StopAsked; what comes after it does not disturb the end."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise StopAsked

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StackProcess:
    """A stack that runs in this process for as long as `run` does."""

    def __init__(
        self,
        procfile: Path,
        tenants: list[str],
        *,
        step: Callable[[str, float], None],
        ready: Callable[[dict[str, Any]], None],
        lifeline: TextIO | None = None,
    ) -> None:
        """Set up a stack that is not running yet.

        Args:
            procfile: the processes; they run in its folder.
            tenants: are added if they are not there.
            step: told what has started, and the seconds it took.
            ready: told where things are, when everything answers.
            lifeline: when the other end of this pipe is closed, the stack ends.
        """
        self._procfile = procfile
        self._tenants = tenants
        self._step = step
        self._ready = ready
        self._lifeline = lifeline
        self._tend: Callable[[], None] = lambda: None
        self._commands: Mapping[str, str] = {}
        self.has_started = False

    def run(self) -> None:
        """Runs the stack until an exception ends it: StopAsked, KeyboardInterrupt, or what went wrong.

        Raises:
            EmbeddedServerError: something cannot be started, or dies again and again.
            StackAlreadyRunning: another process runs a stack on the data folder.
        """
        from chimera.adapters.embedded import EmbeddedServers, Supervisor
        from chimera.adapters.embedded.files import size
        from chimera.adapters.embedded.procfile import read_procfile

        self._commands = read_procfile(self._procfile)
        with self._timed() as took, EmbeddedServers() as servers:
            self.has_started = True
            os.environ.update(servers.variables)
            self._step(_addresses(servers.variables), took())
            self._tend = servers.poll
            self._prepare_database(servers.variables)
            environment = os.environ | {"CHIMERA_DATA": str(servers.data_dir)}
            log_dir = servers.data_dir / "logs"
            processes = Supervisor(
                self._procfile,
                env=environment,
                cwd=self._procfile.parent,
                log_dir=log_dir,
                restart_delay_seconds=RESTART_DELAY_SECONDS,
            )
            logged = {name: size(log_dir / f"{name}.log") for name in self._commands}
            try:
                with processes:
                    self._run(servers, processes, log_dir, logged)
            finally:
                self._tend = lambda: None

    def _run(
        self, servers: "EmbeddedServers", processes: "Supervisor", log_dir: Path, logged: Mapping[str, int]
    ) -> None:
        def tend() -> None:
            servers.poll()
            processes.poll()

        self._tend = tend
        try:
            with self._timed() as took:
                names = list(self._commands)
                flower_port = int(servers.variables["CHIMERA_FLOWER_PORT"]) if "flower" in names else 0
                self._await_answers(processes, flower_port, log_dir, logged)
                self._step(", ".join(names), took())
            self._ready(
                {
                    "pid": os.getpid(),
                    "data_dir": str(servers.data_dir),
                    "env_file": str(servers.data_dir / "env"),
                    "log_dir": str(log_dir),
                    "processes": names,
                    "tenants": self._tenants,
                    "flower_url": f"http://127.0.0.1:{flower_port}" if flower_port else None,
                }
            )
            while True:
                self._rest()
        except (StopAsked, KeyboardInterrupt):
            say("ending: what runs is finished first")
            raise

    def _rest(self) -> None:
        """Looks after everything once, and waits a moment."""
        self._tend()
        watched = [self._lifeline] if self._lifeline else []
        readable, _, _ = select.select(watched, [], [], TEND_EVERY_SECONDS)
        if readable:
            raise StopAsked

    def _prepare_database(self, variables: dict[str, str]) -> None:
        with self._timed() as took:
            from chimera import bootstrap
            from chimera.adapters.postgres.database import Database
            from chimera.adapters.postgres.tenant_store import TenantStore

            revision = bootstrap.migrations().upgrade(bootstrap.role_urls())
            # Connections of its own, closed again: this process only supervises from now on.
            database = Database(variables["CHIMERA_OWNER_DATABASE_URL"], pool_size=1)
            try:
                for tenant in self._tenants:
                    TenantStore(database).add(tenant, actor="chimera up")
            finally:
                database.close()
            whom = f", {'tenant' if len(self._tenants) == 1 else 'tenants'} {', '.join(self._tenants)}"
            self._step(f"schema {revision}{whom if self._tenants else ''}", took())

    def _await_answers(
        self, processes: "Supervisor", flower_port: int, log_dir: Path, logged: Mapping[str, int]
    ) -> None:
        """Waits until every Celery worker of the Procfile answers, and Flower if there is one.

        `logged` has the bytes that were in each process's log before it was started.
        """
        from chimera.adapters.embedded.files import last_lines

        workers = sum(bool(_CELERY_WORKER.search(line)) for line in self._commands.values())
        deadline = monotonic() + READY_WITHIN_SECONDS
        deaths = Deaths(self._commands)
        while not (_workers_answer(workers) and (not flower_port or _listens(flower_port))):
            self._rest()
            if name := deaths.given_up(processes.pids(), monotonic()):
                log = log_dir / f"{name}.log"
                raise EmbeddedServerError(
                    f"{name} ended again and again while the stack started. Fix what its log ({log}) says, and "
                    f"start again:\n{last_lines(log, since=logged[name])}"
                )
            if monotonic() > deadline:
                raise EmbeddedServerError(
                    f"the processes of {self._procfile} do not answer after {READY_WITHIN_SECONDS:g} s; "
                    f"their logs are in {log_dir}"
                )

    @contextmanager
    def _timed(self) -> Iterator[Callable[[], float]]:
        began = monotonic()
        yield lambda: monotonic() - began


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


def _addresses(variables: dict[str, str]) -> str:
    postgres, redis = (
        f"{url.hostname}:{url.port or default}"
        for url, default in (
            (urlsplit(variables["CHIMERA_OWNER_DATABASE_URL"]), 5432),
            (urlsplit(variables["CHIMERA_REDIS_URL"]), 6379),
        )
    )
    return f"PostgreSQL at {postgres}, Redis (Valkey) at {redis}"


def _workers_answer(count: int) -> bool:
    from chimera.cli.workers import consumed_queues

    return not count or len(consumed_queues(TEND_EVERY_SECONDS)) >= count


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
