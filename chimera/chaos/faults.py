"""What the faults do to a swarm: each has a beginning, and most have an end."""

import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import psycopg
import redis

from chimera.chaos.environment import Environment
from chimera.chaos.schedule import Draw
from chimera.errors import ChimeraError

T = TypeVar("T")


class NotInjected(ChimeraError):
    """There was nothing to strike just then."""


class Fault(ABC):
    """One fault on its way. `heal` is called once after `inject`, whatever became of it."""

    def __init__(self, world: Environment, draw: Draw) -> None:
        self.world = world
        self.draw = draw

    @abstractmethod
    def inject(self) -> None:
        """Strikes.

        Raises:
            NotInjected: what it would strike is not there: dead from another fault, or empty.
        """

    def heal(self) -> None:  # noqa: B027  most are over at once
        """Ends it, and returns when what was gone is there again."""

    def choose(self, candidates: Sequence[T]) -> T:
        """One of them, the same for the same draw where the candidates are the same.

        Raises:
            NotInjected: there is none.
        """
        if not candidates:
            raise NotInjected
        return candidates[min(int(self.draw.pick * len(candidates)), len(candidates) - 1)]

    def at_redis(self, work: Callable[[redis.Redis], T]) -> T:
        """Something done to Redis.

        Raises:
            NotInjected: it does not answer.
        """
        try:
            with self.world.servers.redis() as client:
                return work(client)
        except redis.RedisError as exc:
            raise NotInjected from exc

    def backends(self) -> list[int]:
        """The processes of PostgreSQL that serve the swarm; those in a transaction, if any are.

        Raises:
            NotInjected: it does not answer.
        """
        try:
            with self.world.servers.superuser() as connection:
                rows = connection.execute(_BACKENDS).fetchall()
        except psycopg.Error as exc:
            raise NotInjected from exc
        busy = [row["pid"] for row in rows if row["busy"]]
        return busy or [row["pid"] for row in rows]


_BACKENDS = """
select pid, state <> 'idle' as busy from pg_stat_activity
 where usename in ('chimera_app', 'chimera_worker', 'chimera_judge') and backend_type = 'client backend'
 order by pid
"""

FaultClass = TypeVar("FaultClass", bound=type[Fault])


class Registry:
    """The class of each kind."""

    known: ClassVar[dict[str, type[Fault]]] = {}

    @classmethod
    def of(cls, *kinds: str) -> Callable[[FaultClass], FaultClass]:
        """Makes a class that of these kinds."""

        def register(fault: FaultClass) -> FaultClass:
            cls.known.update(dict.fromkeys(kinds, fault))
            return fault

        return register


def send(pid: int | None, number: signal.Signals) -> None:
    """A signal to a process.

    Raises:
        NotInjected: there is no such process.
    """
    try:
        if pid is None:
            raise NotInjected
        os.kill(pid, number)
    except ProcessLookupError as exc:
        raise NotInjected from exc


def wake(pid: int) -> None:
    """SIGCONT to a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
