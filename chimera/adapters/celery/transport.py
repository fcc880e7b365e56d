"""kombu's Redis transports, with a door: what is no message of ours is refused as it leaves the queue."""

from functools import partial
from typing import Any

import redis
import structlog
from celery import current_app
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

from chimera.adapters.celery.door import fault, is_guarded
from chimera.adapters.celery.roster import Roster

log = structlog.get_logger(__name__)


class _Guarded:
    """A client whose BRPOP gives out only what may come in; a refused message is gone, counted and logged."""

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """As redis-py's. None, which is what an empty queue answers, in place of a refused message."""
        answer = super().parse_response(connection, command_name, **options)  # type: ignore[misc]
        if command_name != "BRPOP" or not answer:
            return answer
        queue, raw = answer[0].decode(errors="replace"), answer[1]
        if not is_guarded(queue) or (reason := fault(raw, queue, current_app.tasks)) is None:
            return answer
        log.warning("message_refused", reason=reason, queue=queue, size_bytes=len(raw))
        try:
            Roster(self).note_refused(reason)
        except (RedisError, OSError):
            log.warning("refusal_not_counted", reason=reason)
        return None


class _GuardedClient(_Guarded, redis.Redis):
    pass


class _GuardedPrefixedClient(_Guarded, kombu_redis.PrefixedStrictRedis):
    pass


class _GuardedChannel:
    """Makes the channel's clients guarded ones."""

    def _get_client(self) -> Any:
        made = super()._get_client()  # type: ignore[misc]
        if isinstance(made, partial):
            return partial(_GuardedPrefixedClient, **made.keywords)
        return _GuardedClient


class Channel(_GuardedChannel, kombu_redis.Channel):
    """A channel with a door."""


class SentinelChannel(_GuardedChannel, kombu_redis.SentinelChannel):
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
