"""Faults of the servers: killed and started again, emptied, stopped for a while."""

import os
import signal
import threading
import time
from collections.abc import Callable

import psycopg

from chimera.chaos.environment import Environment
from chimera.chaos.faults import Fault, NotInjected, Registry, send, wake
from chimera.chaos.fleet import children_of

_GONE_WITHIN_SECONDS = 30.0
# One at a time takes a server down and brings it back.
_REDIS, _POSTGRES = threading.Lock(), threading.Lock()


@Registry.of("redis_restarted", "redis_emptied")
class RedisRestarted(Fault):
    """Killed; starts again with what its append-only file kept, or with nothing."""

    _taken = False

    def inject(self) -> None:  # noqa: D102  see Fault
        self._taken = _taken(_REDIS)
        send(self.world.servers.redis_pid, signal.SIGKILL)
        _await_gone(lambda: self.world.servers.redis_pid)

    def heal(self) -> None:  # noqa: D102
        if self._taken:
            try:
                if self.world.servers.redis_pid is None:
                    self.world.servers.start_redis(empty=self.draw.kind.name == "redis_emptied")
            finally:
                _REDIS.release()


@Registry.of("redis_stopped")
class RedisStopped(Fault):
    """Stands still: connections stay, and nobody answers."""

    _pid: int | None = None

    def inject(self) -> None:  # noqa: D102
        pid = self.world.servers.redis_pid
        send(pid, signal.SIGSTOP)
        self._pid = pid

    def heal(self) -> None:  # noqa: D102
        if self._pid is not None:
            wake(self._pid)


@Registry.of("flushall")
class Flushed(Fault):
    """Everything in Redis is deleted."""

    def inject(self) -> None:  # noqa: D102
        self.at_redis(lambda client: client.flushall())


@Registry.of("postgres_restarted")
class PostgresRestarted(Fault):
    """An immediate stop, or every other time a SIGKILL, and a start that recovers from the write-ahead log."""

    _taken = False

    def inject(self) -> None:  # noqa: D102
        self._taken = _taken(_POSTGRES)
        pid = self.world.servers.postgres_pid
        if self.draw.pick < 0.5:
            _wake_backends(self.world)  # what sleeps would outlive its server
            send(pid, signal.SIGKILL)
        else:
            send(pid, signal.SIGQUIT)
        _await_gone(lambda: self.world.servers.postgres_pid)

    def heal(self) -> None:  # noqa: D102
        if self._taken:
            try:
                if self.world.servers.postgres_pid is None:
                    self.world.servers.start_postgres()
            finally:
                _POSTGRES.release()


@Registry.of("backend_killed")
class BackendKilled(Fault):
    """PostgreSQL ends all others too, and recovers."""

    _taken = False

    def inject(self) -> None:  # noqa: D102
        self._taken = _taken(_POSTGRES)
        send(self.choose(self.backends()), signal.SIGKILL)

    def heal(self) -> None:  # noqa: D102
        if self._taken:
            try:
                self.world.servers.await_postgres()
            finally:
                _POSTGRES.release()


@Registry.of("backend_terminated")
class BackendTerminated(Fault):
    """One connection ends, whatever it was doing; the dose decides whether it is all of them."""

    def inject(self) -> None:  # noqa: D102
        backends = self.backends()
        chosen = backends if self.draw.dose > 0.8 else [self.choose(backends)]
        try:
            with self.world.servers.superuser() as connection:
                connection.execute("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", [chosen])
        except psycopg.Error as exc:
            raise NotInjected from exc


@Registry.of("backend_stopped")
class BackendStopped(Fault):
    """A connection stands still, with whatever it has locked."""

    _pid: int | None = None

    def inject(self) -> None:  # noqa: D102
        pid = self.choose(self.backends())
        send(pid, signal.SIGSTOP)
        self._pid = pid

    def heal(self) -> None:  # noqa: D102
        if self._pid is not None:
            wake(self._pid)


def await_servers(world: Environment) -> None:
    """Wakes and starts whatever faults have left asleep or dead, and returns when all answers."""
    servers = world.servers
    with _REDIS:
        if servers.redis_pid is None:
            servers.start_redis()
        else:
            os.kill(servers.redis_pid, signal.SIGCONT)
    if not world.baseline:
        with _POSTGRES:
            if servers.postgres_pid is None:
                servers.start_postgres()
            servers.await_postgres()


def _taken(lock: threading.Lock) -> bool:
    if not lock.acquire(blocking=False):
        raise NotInjected("this server is down from another fault")
    return True


def _await_gone(pid: Callable[[], int | None]) -> None:
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while pid() is not None and time.monotonic() < deadline:
        time.sleep(0.01)


def _wake_backends(world: Environment) -> None:
    if (pid := world.servers.postgres_pid) is not None:
        for child in children_of(pid):
            wake(child)
