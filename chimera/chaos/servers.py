"""PostgreSQL and Valkey of a run: killed, stopped, emptied, and started again on their ports."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psycopg
import redis
from psycopg.rows import DictRow, dict_row
from redis.backoff import NoBackoff
from redis.retry import Retry

from chimera.adapters.embedded.account import Account
from chimera.adapters.embedded.binaries import find_postgres, find_valkey, usable_by
from chimera.adapters.embedded.database_urls import OWNER, ROLES
from chimera.adapters.embedded.passwords import passwords
from chimera.adapters.embedded.postgres import SUPERUSER, EmbeddedPostgres
from chimera.adapters.embedded.server import EmbeddedServer
from chimera.adapters.embedded.valkey import EmbeddedValkey
from chimera.errors import EmbeddedServerError

T = TypeVar("T")

ACCEPTS_WITHIN_SECONDS = 60.0
_REDIS = "CHIMERA_REDIS_URL"
_KEY = "CHIMERA_MESSAGE_KEY"


class Servers:
    """Both servers, in a folder of their own. They are started from one thread, because they end with it."""

    def __init__(self, folder: Path, *, with_postgres: bool = True) -> None:
        account = Account.for_servers()
        secrets = passwords(folder / "passwords.json", (SUPERUSER, *ROLES.values(), "valkey", "messages"))
        runtime = folder / "runtime"
        self._keeper = ThreadPoolExecutor(1, "servers")
        self._valkey = EmbeddedValkey(
            folder / "valkey",
            binaries=usable_by(account, find_valkey(os.environ), runtime),
            account=account,
            password=secrets["valkey"],
        )
        self._postgres = EmbeddedPostgres(
            folder / "postgres",
            binaries=usable_by(account, find_postgres(os.environ), runtime),
            account=account,
            superuser_password=secrets[SUPERUSER],
            owner_password=secrets[OWNER],
        )
        self._secrets = secrets
        self._all: list[EmbeddedServer] = [self._valkey, *([self._postgres] if with_postgres else [])]
        self._with_postgres = with_postgres

    def start(self) -> None:
        """Starts them.

        Raises:
            EmbeddedServerError: one does not start.
        """
        for server in self._all:
            self._on_keeper(server.start)

    def stop(self) -> None:
        """Ends them in order."""
        for server in self._all:
            if server.pid is not None:
                os.kill(server.pid, signal.SIGCONT)
            self._on_keeper(server.stop)
        self._keeper.shutdown()

    @property
    def ports(self) -> dict[str, int]:
        """The ports, by the names `redis` and `postgres`."""
        return {"redis": self._valkey.port} | ({"postgres": self._postgres.port} if self._with_postgres else {})

    @property
    def variables(self) -> dict[str, str]:
        """The key of messages, and `urls`."""
        return self.urls | {_KEY: self._secrets["messages"]}

    @property
    def urls(self) -> dict[str, str]:
        """CHIMERA_..._URL of each role and of Redis, straight to the servers."""
        urls = {name: self._postgres.url(role, self._secrets[role]) for name, role in ROLES.items()}
        return (urls if self._with_postgres else {}) | {_REDIS: self._valkey.url}

    def redis(self) -> redis.Redis:
        """A client that fails at once where Redis does not answer."""
        return redis.Redis.from_url(
            self._valkey.url, retry=Retry(NoBackoff(), 0), socket_timeout=5, socket_connect_timeout=2
        )

    def superuser(self) -> psycopg.Connection[DictRow]:
        """A connection that sees every tenant's rows; each statement is a transaction of its own.

        Raises:
            psycopg.OperationalError: PostgreSQL does not answer.
        """
        url = self._postgres.url(SUPERUSER, self._secrets[SUPERUSER])
        return psycopg.connect(url, autocommit=True, connect_timeout=5, row_factory=dict_row)

    @property
    def redis_pid(self) -> int | None:
        """The process of Redis; None while it is down."""
        return self._valkey.pid

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster; None while it is down."""
        return self._postgres.pid

    def start_redis(self, *, empty: bool = False) -> None:
        """Starts Redis after it was killed, and returns when it answers; `empty`: without what it knew."""
        if empty:
            shutil.rmtree(self._valkey.data)
        self._on_keeper(self._valkey.start)

    def start_postgres(self) -> None:
        """Starts PostgreSQL after it was killed, and returns when it answers."""
        self._on_keeper(self._postgres.start)

    def await_postgres(self) -> None:
        """Returns when PostgreSQL accepts connections.

        Raises:
            EmbeddedServerError: it does not within a minute.
        """
        deadline = time.monotonic() + ACCEPTS_WITHIN_SECONDS
        while True:
            try:
                self.superuser().close()
            except psycopg.OperationalError as exc:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"PostgreSQL did not accept connections again: {exc}") from exc
                time.sleep(0.02)
            else:
                return

    def versions(self) -> dict[str, str]:
        """What the servers say they are."""
        programs = [server._binaries.path for server in self._all]  # type: ignore[attr-defined]
        said = [subprocess.run([path, "--version"], capture_output=True, text=True, check=False) for path in programs]
        return {path.name: done.stdout.strip() for path, done in zip(programs, said, strict=True)}

    def _on_keeper(self, work: Callable[[], T]) -> T:
        return self._keeper.submit(work).result()
