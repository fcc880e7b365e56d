"""kombu's Redis transports, with a door: a message that is not valid is refused as it leaves the queue.

And with a signer: what is put into a guarded queue is signed.
"""

import json
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

import structlog
from celery import current_app
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError, ResponseError

from chimera.adapters.celery.connection import SIGNER
from chimera.adapters.celery.door import Refused, is_guarded, let_in
from chimera.adapters.celery.envelope import count_redelivery, sign
from chimera.adapters.celery.mending import mend
from chimera.adapters.celery.quarantine import Quarantine
from chimera.adapters.celery.remote import command_anew, is_command
from chimera.adapters.celery.roster import Roster
from chimera.adapters.celery.signer import Signer
from chimera.errors import InvalidInput

log = structlog.get_logger(__name__)


class QoS(kombu_redis.QoS):
    """What is delivered and not acknowledged, whatever somebody has written beside it."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """As kombu's, which notes that a message is under way."""
        try:
            super().append(message, delivery_tag)
        except ResponseError:
            channel: Any = self.channel
            mend(channel._create_client())
            super().append(message, delivery_tag)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """As kombu's, which puts a message back into its queue; what is no message is dropped, and not in the way."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except (ValueError, TypeError, AttributeError, RecursionError):
            channel: Any = self.channel
            channel.refuse(str(tag).encode(), self.unacked_key, "not_a_message")
            pipe = channel._create_client().pipeline()
            pipe.zrem(self.unacked_index_key, tag).hdel(self.unacked_key, tag).execute()


class _Door:
    """A channel whose BRPOP gives out only what may come in; a refused message is counted, logged and quarantined."""

    sep: str
    connection: Any
    client: Any
    keyprefix_queue: str
    keyprefix_binding_permanent: str
    _active_queues: list[str]
    _queue_cycle: Any
    # The delivery tag of the message that was let in last; None where the last one was not looked at.
    admitted: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        mend(self.client)

    @property
    def _signer(self) -> Signer | None:
        """That of the app that made the connection; None where it is no app of Chimera's, whose queues are its own."""
        signer: Signer | None = self.connection.client.transport_options.get(SIGNER)
        return signer

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        """As kombu's; a message for a guarded queue is signed.

        Raises:
            SettingsMissing: there is no key.
            InvalidInput: something of the message could not travel.
        """
        if is_guarded(queue) and (signer := self._signer) is not None:
            try:
                sign(message, signer, queue)
            except ValueError as exc:
                raise InvalidInput(f"a message for the queue {queue} cannot travel: {exc}") from None
        super()._put(queue, message, **options)  # type: ignore[misc]  # the next class is kombu's Channel

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[misc]
        if asynchronous:  # the one that waits for messages
            client.parse_response = partial(self._let_in, client.parse_response)
        return client

    def _let_in(self, parse_response: Callable[..., Any], connection: Any, command: str, **options: Any) -> Any:
        """As redis-py's `parse_response`; None, which is what empty queues answer, in place of a refused message."""
        try:
            answer = parse_response(connection, command, **options)
        except ResponseError:
            if command != "BRPOP":
                raise
            mend(self._create_client(), dict.fromkeys(self._active_queues, "list"))
            return None
        if command != "BRPOP" or not answer:
            return answer
        queue, raw = answer[0].decode(errors="replace").rsplit(self.sep, 1)[0], answer[1]
        if not is_guarded(queue) or (signer := self._signer) is None:
            self.admitted = None
            return answer
        try:
            built = let_in(raw, queue, current_app.tasks, signer)
        except Refused as refused:
            # As kombu does after each message: a flood in one queue must not hold up the others.
            self._queue_cycle.rotate(queue)
            self.refuse(raw, queue, refused.reason)
            return None
        self.admitted = built.tag
        return [answer[0], built.raw]

    def _queue_bind(self, exchange: str, *place: Any) -> None:
        """As kombu's, which notes the way to a queue."""
        try:
            super()._queue_bind(exchange, *place)  # type: ignore[misc]
        except ResponseError:
            keys = (self.keyprefix_queue, self.keyprefix_binding_permanent)
            mend(self.client, {key % (exchange,): "set" for key in keys})
            super()._queue_bind(exchange, *place)  # type: ignore[misc]

    def _receive_one(self, pubsub: Any) -> Any:
        """As kombu's: what was published, to one who listens; nothing of it ends who does."""
        try:
            return super()._receive_one(pubsub)  # type: ignore[misc]
        except (Empty, RecursionError):  # no JSON
            return False

    def _deliver_fanout_message(self, message: Any, exchange: str) -> Any:
        """As kombu's, with what goes round the queues' door looked at: remote control."""
        self.admitted = None
        if is_command(exchange) and self._signer is not None:
            try:
                message = command_anew(message)
            except ValueError:
                self.refuse(json.dumps(message).encode(), exchange, "not_a_question")
                return False
        return super()._deliver_fanout_message(message, exchange)  # type: ignore[misc]

    def _do_restore_message(self, payload: Any, *place: Any, **options: Any) -> None:
        """As kombu's, which puts a message back into its queue; counts how often."""
        count_redelivery(payload)
        super()._do_restore_message(payload, *place, **options)  # type: ignore[misc]

    def refuse(self, raw: bytes, queue: str, reason: str) -> None:
        """Notes that a message was refused."""
        log.warning("message_refused", reason=reason, queue=queue, size_bytes=len(raw))
        try:
            client = self._create_client()
            Roster(client).note_refused(reason)
            Quarantine(client).put(raw, queue, reason)
        except (RedisError, OSError):
            log.warning("refusal_not_counted", reason=reason)


# A tenant's own workers keep their bindings below keys of their own (bound.py).
_PREFIXES = ("keyprefix_queue", "keyprefix_binding_permanent", "keyprefix_binding_deadlines")


class Channel(_Door, kombu_redis.Channel):
    """A channel with a door."""

    from_transport_options = (*kombu_redis.Channel.from_transport_options, *_PREFIXES)
    QoS = QoS


class SentinelChannel(_Door, kombu_redis.SentinelChannel):
    """The same behind Redis Sentinel."""

    from_transport_options = (*kombu_redis.SentinelChannel.from_transport_options, *_PREFIXES)
    QoS = QoS


# After a refusal of the server's a worker connects again, as after a lost connection, and does not end.
_ERRORS = (*kombu_redis.Transport.connection_errors, ResponseError)


class Transport(kombu_redis.Transport):
    """kombu's for redis:// and rediss://."""

    connection_errors = _ERRORS

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """kombu's for sentinel://."""

    connection_errors = _ERRORS

    Channel = SentinelChannel


def install() -> None:
    """Has every connection of this process made with these transports, by the schemes of kombu's own."""
    plain = dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__name__}")
    TRANSPORT_ALIASES.update(plain | {"sentinel": f"{__name__}:{SentinelTransport.__name__}"})
