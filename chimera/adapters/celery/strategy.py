"""How a worker begins with a message to one of Chimera's own tasks: only with one that came through the door."""

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.strategy import default

log = structlog.get_logger(__name__)


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """As Celery's, for messages that the door has let in.

    Users' own tasks may have queues of their own, which the door does not look at; whoever puts one of Chimera's there
    goes round it.
    """
    begin = default(task, app, consumer, **options)

    def begin_if_let_in(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **more: Any) -> Any:
        # kombu hands over one message at a time.
        if getattr(message.channel, "admitted", None) == message.delivery_tag:
            return begin(message, body, ack, reject, callbacks, **more)
        log.warning("message_refused", reason="wrong_queue", task=task.name)
        return reject(log, consumer.connection_errors)

    return begin_if_let_in
