"""A worker's part that says that it is there: nobody has to ask it over remote control, which a Judge does not have.

Keys: `chimera:workers`, a hash of what each worker said last, by its name.
"""

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from celery import bootsteps
from celery.worker import state
from kombu.exceptions import KombuError
from pydantic import ValidationError
from redis.exceptions import RedisError

from chimera.adapters.celery.broker_keys import WORKERS
from chimera.adapters.celery.messages import SWEEP
from chimera.adapters.celery.roster import broker_time
from chimera.models.work.presence import GONE_AFTER_SECONDS, SAID_SECONDS, WorkerNote

log = structlog.get_logger(__name__)

# What was said so long ago is forgotten.
_FORGOTTEN_AFTER_SECONDS = 60.0
_MAX_WORKERS = 10_000

Names = Callable[[], tuple[str, ...]]


def presence_step(skills: Names, planners: Names, isolation: str, logins: Iterable[str]) -> type["Presence"]:
    """The bootstep for the workers of this process, with what they have, how isolated they run it, and the logins that
    they know.
    """

    class PresenceHere(Presence):
        """Says what this process has."""

        _isolation = isolation
        _logins = frozenset(logins)

        def _names(self) -> tuple[frozenset[str], frozenset[str]]:
            return frozenset(skills()), frozenset(planners())

    return PresenceHere


class Presence(bootsteps.StartStopStep):
    """Says it at once and then every SAID_SECONDS, from the loop that takes messages: who stands still is silent."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _isolation: str
    _logins: frozenset[str]

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None
        self._is_heard = True

    def start(self, consumer: Any) -> None:
        """Begins to say it."""
        self._say(consumer)
        self._timer = consumer.timer.call_repeatedly(SAID_SECONDS, self._say, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Says that it is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._over(consumer, lambda client: client.hdel(WORKERS, consumer.hostname))

    shutdown = stop

    def _say(self, consumer: Any) -> None:
        self._over(consumer, lambda client: client.hset(WORKERS, consumer.hostname, self._note(consumer, client)))

    def _note(self, consumer: Any, client: Any) -> str:
        before = time.time()
        at = broker_time(client)
        skills, planners = self._names()
        return WorkerNote(
            pid=os.getpid(),
            queues=frozenset(consumer.app.amqp.queues.consume_from),
            skills=skills,
            planners=planners,
            isolation=self._isolation,
            logins=self._logins,
            sweeps=state.total_count[SWEEP.task],
            at=at,
            ahead_seconds=(before - at, time.time() - at),
        ).model_dump_json()

    def _over(self, consumer: Any, call: Callable[[Any], object]) -> None:
        try:
            with consumer.app.pool.acquire(block=True) as connection:
                call(connection.default_channel.client)
        except (KombuError, RedisError, OSError) as exc:
            # The consumer notices a lost broker by itself and reconnects; a tenant's own login may not say it.
            if self._is_heard:
                log.warning("presence_not_said", error=type(exc).__name__)
            self._is_heard = False
        else:
            self._is_heard = True

    def _names(self) -> tuple[frozenset[str], frozenset[str]]:
        raise NotImplementedError


def workers(client: Any) -> dict[str, WorkerNote]:
    """The workers that are there, by name, over a client of the broker."""
    now = broker_time(client)
    found: dict[str, WorkerNote] = {}
    for node, text in client.hscan_iter(WORKERS, count=1000):
        try:
            name, note = node.decode(), WorkerNote.model_validate_json(text)
        except (UnicodeDecodeError, ValidationError):
            client.hdel(WORKERS, node)  # nobody's of ours
            continue
        if not -GONE_AFTER_SECONDS <= now - note.at <= _FORGOTTEN_AFTER_SECONDS:
            client.hdel(WORKERS, node)
        elif now - note.at <= GONE_AFTER_SECONDS and len(found) < _MAX_WORKERS:
            found[name] = note
    return found


def ahead_of_broker(client: Any) -> tuple[float, float]:
    """The least and the most that this machine's clock is ahead of the broker's, in seconds."""
    before = time.time()
    at = broker_time(client)
    return before - at, time.time() - at
