"""Faults of messages: sent twice, lost, late."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import redis

from chimera.chaos.environment import JUDGE, WORKER
from chimera.chaos.faults import Fault, NotInjected, Registry, send, wake

# How long the consumer of a queue is held still, so that a message can be caught in it at all.
_HELD_SECONDS = 1.0
_MOST_COPIES = 20
_UNACKED = "unacked"  # kombu: delivery tag -> [message, exchange, routing key]


@Registry.of("messages_duplicated")
class Duplicated(Fault):
    """Copies of messages that wait and of those that are worked on now; with the dose up to three each."""

    def inject(self) -> None:  # noqa: D102  see Fault
        if not self.at_redis(self._copy):
            raise NotInjected

    def _copy(self, client: redis.Redis) -> int:
        copies = 1 + int(self.draw.dose * 3)
        # A copy of what is worked on now is what a lease or a lock has to stop.
        messages = [under_way(text) for text in client.hvals(_UNACKED)]
        if copies > 1:
            waiting = [(queue, client.lrange(queue, 0, _MOST_COPIES)) for queue in queues(client)]
            messages += [(queue, cast("bytes", text)) for queue, texts in waiting for text in texts]
        for queue, text in messages[:_MOST_COPIES]:
            for number in range(copies):
                copy = text if self.draw.pick < 0.5 else renamed(text)
                # One to be taken at once, while the original is worked on; the others after all that wait.
                if number:
                    client.lpush(queue, copy)
                else:
                    client.rpush(queue, copy)
        return len(messages)


class _Caught(Fault):
    """A fault of a message in a queue, whose consumer is held until there is one."""

    def catch(self, take: Callable[[redis.Redis], bool]) -> None:
        """Tries to take until it has worked, for as long as the consumers may be held.

        Raises:
            NotInjected: no message came.
        """
        held = [pid for name in (WORKER, JUDGE) if (pid := self.world.fleet.pid(name)) is not None]
        for pid in held:
            send(pid, signal.SIGSTOP)
        try:
            deadline = time.monotonic() + _HELD_SECONDS
            while not self.at_redis(take):
                if time.monotonic() > deadline:
                    raise NotInjected
                time.sleep(0.01)
        finally:
            for pid in held:
                wake(pid)

    def chosen(self, client: redis.Redis) -> bytes | None:
        """A queue that has messages."""
        waiting = queues(client)
        return self.choose(waiting) if waiting else None


@Registry.of("message_dropped")
class Dropped(_Caught):
    """The oldest message of a queue is gone."""

    def inject(self) -> None:  # noqa: D102
        self.catch(self._drop)

    def _drop(self, client: redis.Redis) -> bool:
        queue = self.chosen(client)
        return queue is not None and client.rpop(queue) is not None


@Registry.of("queue_deleted")
class QueueDeleted(_Caught):
    """All messages of a queue are gone."""

    def inject(self) -> None:  # noqa: D102
        self.catch(self._delete)

    def _delete(self, client: redis.Redis) -> bool:
        queue = self.chosen(client)
        return queue is not None and bool(client.delete(queue))


@Registry.of("message_delayed")
class Delayed(_Caught):
    """The oldest message of a queue comes later, after all others."""

    _queue: bytes | None = None
    _message: Any = None

    def inject(self) -> None:  # noqa: D102
        self.catch(self._take)

    def heal(self) -> None:  # noqa: D102
        if self._queue is None or self._message is None:
            return
        try:
            queue, message = self._queue, self._message
            self.at_redis(lambda client: client.lpush(queue, message))
        except NotInjected:
            return  # then it is a dropped one

    def _take(self, client: redis.Redis) -> bool:
        self._queue = self.chosen(client)
        self._message = self._queue and client.rpop(self._queue)
        return self._message is not None


def queues(client: redis.Redis) -> list[bytes]:
    """The queues with messages in them, in order."""
    names = {cast("bytes", name) for name in client.scan_iter(_type="list")}
    return sorted(name for name in names if b"pidbox" not in name and b"reply" not in name)


def under_way(text: Any) -> tuple[bytes, bytes]:
    """The queue and the text of a message that a worker has taken and not acknowledged."""
    message, _exchange, routing_key = json.loads(text)
    return str(routing_key).encode(), json.dumps(message).encode()


def renamed(text: bytes) -> bytes:
    """The same message with a delivery tag of its own, as if it had been sent twice and not come twice."""
    message = json.loads(text)
    message["properties"]["delivery_tag"] = str(uuid4())
    return json.dumps(message).encode()
