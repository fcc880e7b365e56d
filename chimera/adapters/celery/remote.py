"""Remote control: what a worker does of what somebody publishes, which anybody can who reaches the broker.

It answers, and does nothing. Judges do not listen at all.
"""

import json
from base64 import b64decode, b64encode
from typing import Any, Literal

from celery import bootsteps
from pydantic import Field, ValidationError

from chimera.adapters.celery.envelope import Part, Short
from chimera.adapters.celery.queue_names import JUDGE_QUEUE

MAX_BYTES = 64 * 1024
_EXCHANGE_ENDS_WITH = ".pidbox"


class _ReplyTo(Part):
    exchange: str = Field(pattern=r"^reply\.[\w.-]{1,100}\.pidbox$")
    routing_key: str = Field(pattern="^[0-9a-f-]{32,36}$")


class _Arguments(Part):
    """Of all that the commands take."""

    # `active`: whether it shows arguments as text.
    safe: bool | None = None
    # `query_task`.
    ids: list[Short] | Short | None = None
    # `conf`.
    with_defaults: bool | None = None


class Command(Part):
    """A question; one that would change anything is none."""

    method: Literal[
        "active",
        "active_queues",
        "clock",
        "conf",
        "heartbeat",  # asks for an event, as Flower does when it starts
        "ping",
        "query_task",
        "registered",
        "report",
        "reserved",
        "revoked",
        "scheduled",
        "stats",
    ]
    arguments: _Arguments | None = None
    destination: list[Short] | None = None
    # Who is meant by a pattern: it may take for ever to try.
    pattern: None = None
    reply_to: _ReplyTo | None = None
    ticket: str | None = Field(default=None, pattern="^[0-9a-f-]{32,36}$")


class _Message(Part):
    body: str = Field(max_length=MAX_BYTES)


def is_command(exchange: str) -> bool:
    """Whether what is published to this exchange is for remote control."""
    return exchange.endswith(_EXCHANGE_ENDS_WITH)


def command_anew(message: Any) -> dict[str, Any]:
    """The message of a question, built anew; for a worker's mailbox.

    Raises:
        ValueError: it asks for anything else.
    """
    try:
        body = b64decode(_Message.model_validate(message).body, validate=True)
        command = Command.model_validate_json(body)
    except (ValidationError, RecursionError) as exc:
        raise ValueError("not a question") from exc
    text = json.dumps(command.model_dump(exclude_none=True, exclude={"pattern"}))
    return {
        "body": b64encode(text.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": ""},
            "delivery_tag": "",
        },
    }


class Remote(bootsteps.Step):
    """Has a worker that runs the Judge not listen to remote control, and none to other workers.

    Mingle and gossip, by which workers tell each other what they revoked and which clock they have, take what anybody
    publishes, and Chimera needs neither.
    """

    def __init__(self, worker: Any, **options: Any) -> None:
        # Of no use to processes that are no worker, which have these steps too.
        from celery.worker.consumer.gossip import Gossip
        from celery.worker.consumer.mingle import Mingle

        super().__init__(worker, **options)
        if JUDGE_QUEUE in worker.app.amqp.queues.consume_from:
            worker.app.conf.worker_enable_remote_control = False
        Gossip.compatible_transports = Mingle.compatible_transports = set()
