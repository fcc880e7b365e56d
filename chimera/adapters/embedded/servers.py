"""The embedded servers of one data folder: start what the environment does not name, say where it is."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.binaries import find_postgres, find_valkey, usable_by
from chimera.adapters.embedded.database_urls import OWNER, ROLES, given_urls
from chimera.adapters.embedded.env_file import write_env_file
from chimera.adapters.embedded.lock import Lock, holder
from chimera.adapters.embedded.passwords import passwords
from chimera.adapters.embedded.ports import free_port, port_is_free
from chimera.adapters.embedded.postgres import EmbeddedPostgres
from chimera.adapters.embedded.restarts import Restarts
from chimera.adapters.embedded.server import EARLIER_ENDS_WITHIN_SECONDS, EmbeddedServer
from chimera.adapters.embedded.stack import ENV_FILE, LOCK_FILE
from chimera.adapters.embedded.valkey import EmbeddedValkey
from chimera.errors import EmbeddedServerError, InvalidInput, StackAlreadyRunning
from chimera.settings import data_dir as default_data_dir
from chimera.settings import redis_url_fault

HUNG_AFTER_SECONDS = 30.0
REDIS_URL = "CHIMERA_REDIS_URL"
FLOWER_PORT, FLOWER_AUTH = "CHIMERA_FLOWER_PORT", "CHIMERA_FLOWER_BASIC_AUTH"
MESSAGE_KEY = "CHIMERA_MESSAGE_KEY"
CHECKPOINTS, AUDIT_KEYS = "CHIMERA_CHECKPOINTS", "CHIMERA_AUDIT_KEYS"
STACK_PID = "CHIMERA_STACK_PID"
FLOWER_USER = "chimera"
PASSWORDS = ("postgres", *ROLES.values(), "valkey", "flower", "messages")


class EmbeddedServers:
    """PostgreSQL and Valkey for one stack, as far as the environment names none; one stack per data folder.

    As a context manager it starts on entry and stops on exit; `variables` then says what children need.
    Start it from the main thread: the servers end when the thread that started them does.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        durable: bool = True,
        checkpoints: bool = False,
        hung_after_seconds: float = HUNG_AFTER_SECONDS,
        earlier_ends_within_seconds: float = EARLIER_ENDS_WITHIN_SECONDS,
        waits: Callable[[str], None] | None = None,
    ) -> None:
        """Set up servers that are not running yet.

        Args:
            data_dir: where their data, passwords and logs are; default `chimera.settings.data_dir()`.
            environ: the user's environment, by default this process's. What it names is used and not started:
                CHIMERA_OWNER_DATABASE_URL for PostgreSQL, CHIMERA_REDIS_URL for Redis.
            durable: False lets a test do without the disk.
            checkpoints: has `variables` name a folder for the audit's checkpoints and one for their keys, where the
                environment does not.
            hung_after_seconds: how long a server may owe an answer before `poll()` takes it for one that hangs.
            earlier_ends_within_seconds: how long a start waits for a server of an earlier run on the folder to end.
            waits: told, in a line for people, that a start has waited 2 s for such a server; by default the log is.
        """
        self.data_dir = (data_dir or default_data_dir()).absolute()
        self.variables: dict[str, str] = {}
        self._environ = os.environ if environ is None else environ
        self._durable = durable
        self._checkpoints = checkpoints
        self._hung_after_seconds = hung_after_seconds
        self._earlier_ends_within_seconds = earlier_ends_within_seconds
        self._waits = waits
        self._running: list[tuple[EmbeddedServer, Restarts]] = []
        self._undo = ExitStack()
        self._log = structlog.get_logger()

    def start(self) -> dict[str, str]:
        """Start what is needed, and return the variables by which child processes find everything.

        They are CHIMERA_{OWNER,APP,WORKER,JUDGE,SEAL}_DATABASE_URL, CHIMERA_REDIS_URL, CHIMERA_MESSAGE_KEY,
        CHIMERA_FLOWER_PORT and CHIMERA_FLOWER_BASIC_AUTH (user:password); with checkpoints CHIMERA_CHECKPOINTS and
        CHIMERA_AUDIT_KEYS. `<data_dir>/env` (mode 0600) has them too, together with CHIMERA_STACK_PID, this process's
        id.

        Raises:
            StackAlreadyRunning: another process runs a stack on this folder.
            InvalidInput: an address in the environment is no URL of such a server.
            EmbeddedServerError: a server cannot be found or started; whatever was started is stopped again.
        """
        with ExitStack() as undo:
            try:
                self._make_data_dir()
                undo.callback(self._lock().close)
                _need_semaphores()
                self.variables = self._start_all(undo)
                self._publish(undo)
            except OSError as exc:
                raise EmbeddedServerError(
                    f"The data folder {self.data_dir} cannot be used: {exc}. "
                    "Fix: set CHIMERA_DATA to a folder that you may write to."
                ) from exc
            self._undo = undo.pop_all()
        return dict(self.variables)

    def poll(self) -> None:
        """Start a server again that has died or hangs, on its old port with its data; call it a few times a second.

        Raises:
            EmbeddedServerError: it does not start again, or died more than five times in a row.
        """
        for server, restarts in self._running:
            if server.is_running:
                if (silent_seconds := server.silent_seconds()) < self._hung_after_seconds:
                    continue
                self._log.warning("server_hangs", server=server.name, silent_seconds=round(silent_seconds, 1))
                server.kill()
            if restarts.next_delay_seconds(server.lived_seconds) is None:
                raise EmbeddedServerError(
                    f"{server.name} ended {restarts.in_a_row + 1} times in a row. Fix what its log ({server.log}) says."
                )
            self._log.warning("server_died", server=server.name)
            server.start()

    def stop(self) -> None:
        """Remove the env file, stop Valkey, then PostgreSQL, and free the folder. Safe to call twice."""
        self._undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_data_dir(self) -> None:
        missing = [folder for folder in (self.data_dir, *self.data_dir.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            # Where we are root the servers are not, and must pass through.
            folder.chmod(0o755 if os.geteuid() == 0 else 0o700)

    def _lock(self) -> Lock:
        path = self.data_dir / LOCK_FILE
        # Someone who only asks whether a stack runs holds the lock for an instant.
        if lock := Lock.take(path, patience_seconds=0.3):
            return lock
        raise StackAlreadyRunning(
            f"A Chimera stack runs on {self.data_dir} already (process {holder(path)}). "
            "Fix: `chimera down` ends it; or set CHIMERA_DATA to another folder for a second one."
        )

    def _start_all(self, undo: ExitStack) -> dict[str, str]:
        redis_url = self._environ.get(REDIS_URL)
        if redis_url and (fault := redis_url_fault(redis_url)):
            raise InvalidInput(f"{REDIS_URL}: {fault}")
        secrets = passwords(self.data_dir / "passwords.json", PASSWORDS)
        variables = given_urls(self._environ, secrets) or self._start_postgres(undo, secrets)
        variables[REDIS_URL] = redis_url or self._start_valkey(undo, secrets)
        variables[MESSAGE_KEY] = self._environ.get(MESSAGE_KEY) or secrets["messages"]
        variables[FLOWER_PORT] = str(self._flower_port())
        if self._checkpoints:
            audit = self.data_dir / "audit"
            # An empty CHIMERA_CHECKPOINTS turns them off.
            variables[CHECKPOINTS] = self._environ.get(CHECKPOINTS, str(audit / "checkpoints"))
            variables[AUDIT_KEYS] = self._environ.get(AUDIT_KEYS) or str(audit / "keys")
        variables[FLOWER_AUTH] = self._environ.get(FLOWER_AUTH) or f"{FLOWER_USER}:{secrets['flower']}"
        return variables

    def _start_postgres(self, undo: ExitStack, secrets: Mapping[str, str]) -> dict[str, str]:
        server = EmbeddedPostgres(
            self.data_dir / "postgres",
            binaries=usable_by(self._account, find_postgres(self._environ), self.data_dir / "runtime"),
            account=self._account,
            superuser_password=secrets["postgres"],
            owner_password=secrets[OWNER],
            durable=self._durable,
        )
        self._run(server, undo)
        return {name: server.url(role, secrets[role]) for name, role in ROLES.items()}

    def _start_valkey(self, undo: ExitStack, secrets: Mapping[str, str]) -> str:
        server = EmbeddedValkey(
            self.data_dir / "valkey",
            binaries=usable_by(self._account, find_valkey(self._environ), self.data_dir / "runtime"),
            account=self._account,
            password=secrets["valkey"],
            durable=self._durable,
        )
        self._run(server, undo)
        return server.url

    def _run(self, server: EmbeddedServer, undo: ExitStack) -> None:
        undo.callback(server.stop)
        server.earlier_ends_within_seconds = self._earlier_ends_within_seconds
        server.waits = self._waits
        server.start()
        self._running.append((server, Restarts()))
        undo.callback(self._running.clear)

    @cached_property
    def _account(self) -> Account:
        account = Account.for_servers()
        if account.switched and (closed := account.closed_folder(self.data_dir)):
            raise EmbeddedServerError(
                f"As root the servers run as {account.name}, who cannot enter {closed}, on the way to the "
                f"data folder {self.data_dir}. Fix: set CHIMERA_DATA to a folder that all may pass through, "
                "such as /var/lib/chimera."
            )
        return account

    def _flower_port(self) -> int:
        named = self._environ.get(FLOWER_PORT)
        if not named:
            return free_port()
        if not named.isdecimal() or not 0 < int(named) < 65536:
            raise EmbeddedServerError(f"{FLOWER_PORT}={named} is no port. Fix: a number from 1 to 65535, or unset it.")
        if not port_is_free(int(named)):
            raise EmbeddedServerError(
                f"{FLOWER_PORT}={named}, but another process listens on port {named} of this machine. "
                "Fix: name another port, or unset it to have a free one chosen."
            )
        return int(named)

    def _publish(self, undo: ExitStack) -> None:
        path = self.data_dir / ENV_FILE
        write_env_file(path, {**self.variables, STACK_PID: str(os.getpid())})
        undo.callback(path.unlink, missing_ok=True)


def _need_semaphores() -> None:
    try:
        multiprocessing.Lock()
    except (ImportError, OSError) as exc:
        raise EmbeddedServerError(
            f"This machine gives no semaphores ({exc}), and Celery's worker pool needs them. "
            "Fix: mount a writable /dev/shm (as docker does by default; --shm-size=64m)."
        ) from exc
