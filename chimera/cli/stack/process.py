"""The process that runs a stack: it starts servers and processes, tends them, and ends them in order."""

import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from chimera.cli.context import read_celeryconfig
from chimera.cli.output import say
from chimera.cli.stack.project import Project
from chimera.cli.stack.readiness import RESTART_DELAY_SECONDS, Readiness
from chimera.errors import LoginRefused, QueueUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from chimera.adapters.embedded import Account

TEND_EVERY_SECONDS = 0.25
_LOOK_EVERY_SECONDS = 0.05
# Where the Procfile that Chimera ships has Flower's settings from.
FLOWER_CONFIG = "CHIMERA_FLOWER_CONFIG"
SEALED_WITHIN = "CHIMERA_SEALED_WITHIN_SECONDS"


class Child(StrEnum):
    """How a stack in the background belongs to the process that started it."""

    ATTACHED = "attached"  # it ends when that process does
    DETACHED = "detached"


class StopAsked(BaseException):
    """SIGTERM or SIGHUP came, or the process that this one belongs to has ended."""


class Ending:
    """Whether this process was asked to end.

    What is raised from a signal is lost where it happens to strike code that swallows exceptions, a finalizer
    or an import's callback: so it is noted too, and `check`, called now and then, raises it again.
    """

    def __init__(self) -> None:
        self._asked: type[BaseException] | None = None

    def ask(self) -> None:
        """Raises StopAsked, once: a second signal does not disturb the end."""
        if self._asked is None:
            self._asked = StopAsked
            raise StopAsked

    def interrupt(self) -> None:
        """Raises KeyboardInterrupt, every time."""
        self._asked = self._asked or KeyboardInterrupt
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raises what was asked for first, if anything was."""
        if self._asked is not None:
            raise self._asked


@contextmanager
def ending_on_signals() -> Iterator[Ending]:
    """Lets SIGTERM and SIGHUP ask this process to end, and SIGINT interrupt it."""
    ending = Ending()

    def receive(number: int, _frame: FrameType | None) -> None:
        ending.interrupt() if number == signal.SIGINT else ending.ask()

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StackProcess:
    """A stack that runs in this process for as long as `run` does."""

    def __init__(
        self,
        project: Project,
        tenants: list[str],
        *,
        step: Callable[[str, float], None],
        ready: Callable[[dict[str, Any]], None],
        waits: Callable[[str], None] = say,
        lifeline: TextIO | None = None,
    ) -> None:
        """Set up a stack that is not running yet.

        Args:
            project: what is run.
            tenants: are added if they are not there.
            step: told what has started, and the seconds it took.
            ready: told where things are, when the workers answer; and Flower, where there is no lifeline.
            waits: told what the servers wait for, in a line for people.
            lifeline: when the other end of this pipe is closed, the stack ends.
        """
        self._project = project
        self._tenants = tenants
        self._step = step
        self._ready = ready
        self._waits = waits
        self._lifelines = [lifeline] if lifeline else []
        self.has_started = False

    def run(self) -> None:
        """Runs the stack until an exception ends it: StopAsked, KeyboardInterrupt, or what went wrong."""
        with ending_on_signals() as ending, _naming_what_to_unset():
            self._run(ending)

    def _run(self, ending: Ending) -> None:
        """Runs the stack until an exception ends it.

        Raises:
            EmbeddedServerError: something cannot be started, or dies again and again.
            UserCodeBroken: the project's celeryconfig cannot be imported.
            StackAlreadyRunning: another process runs a stack on the data folder.
            StoreUnavailable, QueueUnavailable: a server that the environment names does not answer.
        """
        from chimera.adapters.embedded import EmbeddedServers, Supervisor
        from chimera.adapters.embedded.procfile import read_procfile

        commands = read_procfile(self._project.procfile)
        with _timed() as took, EmbeddedServers(checkpoints=True, waits=self._waits) as servers:
            self.has_started = True
            os.environ.update(servers.variables)
            self._step(_addresses(servers.variables), took())
            read_celeryconfig()
            self._prepare_database(servers.variables)
            _prepare_keys(servers.variables)

            log_dir = servers.data_dir / "logs"
            flower_port = int(servers.variables["CHIMERA_FLOWER_PORT"]) if "flower" in commands else 0
            readiness = Readiness(commands, log_dir, 0 if self._lifelines else flower_port)
            processes = Supervisor(
                self._project.procfile,
                env=self._variables(servers.data_dir),
                cwd=self._project.folder,
                log_dir=log_dir,
                restart_delay_seconds=RESTART_DELAY_SECONDS,
                workers_as=self._workers_as(),
            )

            def tend() -> None:
                ending.check()
                if self._is_left():
                    ending.ask()
                servers.poll()
                processes.poll()

            with _timed() as taken, processes:
                try:
                    readiness.wait(processes, lambda: self._rest(tend, _LOOK_EVERY_SECONDS))
                    self._step(", ".join(commands), taken())
                    self._ready(self._facts(servers.data_dir, commands, flower_port))
                    while True:
                        self._rest(tend, TEND_EVERY_SECONDS)
                except (StopAsked, KeyboardInterrupt):
                    say("ending: what runs is finished first")
                    raise

    def _variables(self, data_dir: Path) -> dict[str, str]:
        """The environment of the processes."""
        from chimera.settings import settings

        # Who decides has to know that the audit is sealed, and neither where nor with what.
        limit_seconds = settings().sealing_limit_seconds
        sealed = {SEALED_WITHIN: f"{limit_seconds:g}"} if limit_seconds is not None else {}
        flower = {FLOWER_CONFIG: str(self._project.flowerconfig)} if FLOWER_CONFIG not in os.environ else {}
        return os.environ | {"CHIMERA_DATA": str(data_dir)} | sealed | flower

    def _workers_as(self) -> "Account | None":
        """The user of those that run skills; hosts are made by root, and have users of their own."""
        from chimera.adapters.embedded import Account
        from chimera.settings import settings

        return None if settings().isolation == "host" else Account.for_workers(self._project.folder)

    def _rest(self, tend: Callable[[], None], seconds: float) -> None:
        """Looks after everything once, and waits a moment."""
        tend()
        select.select(self._lifelines, [], [], seconds)

    def _is_left(self) -> bool:
        """Whether the process that this one belongs to has ended."""
        return bool(select.select(self._lifelines, [], [], 0)[0])

    def _prepare_database(self, variables: dict[str, str]) -> None:
        with _timed() as took:
            from chimera import bootstrap
            from chimera.adapters.postgres.database import Database
            from chimera.adapters.postgres.stores.tenant_store import TenantStore

            revision = bootstrap.migrations().upgrade(bootstrap.role_urls())
            # Connections of its own, closed again: this process only supervises from now on.
            database = Database(variables["CHIMERA_OWNER_DATABASE_URL"], pool_size=1)
            try:
                for tenant in self._tenants:
                    TenantStore(database).add(tenant, actor="chimera up")
            finally:
                database.close()
            names = f", {'tenant' if len(self._tenants) == 1 else 'tenants'} {', '.join(self._tenants)}"
            self._step(f"schema {revision}{names if self._tenants else ''}", took())

    def _facts(self, data_dir: Path, commands: Mapping[str, str], flower_port: int) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "data_dir": str(data_dir),
            "env_file": str(data_dir / "env"),
            "log_dir": str(data_dir / "logs"),
            "processes": list(commands),
            "tenants": self._tenants,
            "flower_url": f"http://127.0.0.1:{flower_port}" if flower_port else None,
        }


def _prepare_keys(variables: dict[str, str]) -> None:
    """Makes the first key that seals the audit, in a data folder that has none."""
    from chimera.adapters.files.key_ring import KeyRing
    from chimera.adapters.system_clock import SystemClock

    folder = Path(variables["CHIMERA_AUDIT_KEYS"])
    if variables["CHIMERA_CHECKPOINTS"] and not folder.exists():
        KeyRing(folder, SystemClock()).create()


@contextmanager
def _naming_what_to_unset() -> Iterator[None]:
    """Has an error about a server that does not answer end with the variables of the environment that name it.

    A shell that has read the env file of a stack that has ended names servers that have ended, too.
    """
    given = [name for name, value in os.environ.items() if value]  # a stack that starts adds its own
    try:
        yield
    except LoginRefused:
        raise
    except (StoreUnavailable, QueueUnavailable) as exc:
        suffix = "_DATABASE_URL" if isinstance(exc, StoreUnavailable) else "_REDIS_URL"
        names = sorted(name for name in given if name.startswith("CHIMERA_") and name.endswith(suffix))
        if not names:
            raise
        raise type(exc)(f"{exc}. Start it, or `unset {' '.join(names)}` to have one started here") from exc


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    began = monotonic()
    yield lambda: monotonic() - began


def _addresses(variables: dict[str, str]) -> str:
    postgres, redis = (
        f"{url.hostname}:{url.port or default}"
        for url, default in (
            (urlsplit(variables["CHIMERA_OWNER_DATABASE_URL"]), 5432),
            (urlsplit(variables["CHIMERA_REDIS_URL"]), 6379),
        )
    )
    return f"PostgreSQL at {postgres}, Redis (Valkey) at {redis}"
