"""kombu's Redis transports, with a door: a message that is not valid is refused as it leaves the queue."""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery import current_app
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

from chimera.adapters.celery.door import fault, is_guarded
from chimera.adapters.celery.roster import Roster

log = structlog.get_logger(__name__)


class _Door:
    """A channel whose BRPOP gives out only what may come in; a refused message is gone, counted and logged."""

    sep: str
    _queue_cycle: Any

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[misc]  # the next class is kombu's Channel
        if asynchronous:  # the one that waits for messages
            client.parse_response = partial(self._let_in, client.parse_response)
        return client

    def _let_in(self, parse_response: Callable[..., Any], connection: Any, command: str, **options: Any) -> Any:
        """As redis-py's `parse_response`; None, which is what empty queues answer, in place of a refused message."""
        answer = parse_response(connection, command, **options)
        if command != "BRPOP" or not answer:
            return answer
        queue, raw = answer[0].decode(errors="replace").rsplit(self.sep, 1)[0], answer[1]
        if not is_guarded(queue) or (reason := fault(raw, queue, current_app.tasks)) is None:
            return answer
        log.warning("message_refused", reason=reason, queue=queue, size_bytes=len(raw))
        # As kombu does after each message: a flood in one queue must not hold up the others.
        self._queue_cycle.rotate(queue)
        try:
            Roster(self._create_client()).note_refused(reason)
        except (RedisError, OSError):
            log.warning("refusal_not_counted", reason=reason)
        return None


class Channel(_Door, kombu_redis.Channel):
    """A channel with a door."""


class SentinelChannel(_Door, kombu_redis.SentinelChannel):
    """The same behind Redis Sentinel."""


class Transport(kombu_redis.Transport):
    """kombu's for redis:// and rediss://."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """kombu's for sentinel://."""

    Channel = SentinelChannel


def install() -> None:
    """Has every connection of this process made with these transports, by the schemes of kombu's own."""
    plain = dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__name__}")
    TRANSPORT_ALIASES.update(plain | {"sentinel": f"{__name__}:{SentinelTransport.__name__}"})
