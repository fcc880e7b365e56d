"""What may come in: the check of a message as it leaves the queue, before Celery or kombu act on it."""

import re
from base64 import b64decode
from collections.abc import Container
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from chimera.adapters.celery.messages import MESSAGES
from chimera.adapters.celery.queue_names import JUDGE_QUEUE, PLAN_QUEUE, TENANT_QUEUE_PREFIX

# A batch of 1,000 task ids has about 50 KB.
MAX_BYTES = 256 * 1024
# A plan that beat submits travels with its inputs, of which CHIMERA_MAX_INPUTS_BYTES allows 32 MiB; as base64.
MAX_PLAN_BYTES = 48 * 1024 * 1024


class _Part(BaseModel):
    """What Celery reads of a message; more may stand beside it."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Headers(_Part):
    id: str
    task: str
    shadow: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    retries: int | None = Field(default=None, ge=0)
    timelimit: tuple[float | None, float | None] | None = None
    eta: datetime | None = None
    expires: datetime | float | None = None
    ignore_result: bool | None = None


class _Properties(_Part):
    delivery_tag: str
    delivery_info: dict[str, Any]
    body_encoding: Literal["base64"]
    correlation_id: str | None = None
    reply_to: str | None = None
    priority: int | None = None


class _Message(_Part):
    body: str
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties


class _Embedded(_Part):
    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chain: list[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None


_MESSAGE = TypeAdapter(_Message)
_BODY: TypeAdapter[tuple[list[Any], dict[str, Any], _Embedded]] = TypeAdapter(
    tuple[list[Any], dict[str, Any], _Embedded]
)
_IDS = re.compile(r"[0-9a-f-]{32,36}")


def is_guarded(queue: str) -> bool:
    """Whether messages of this queue are looked at: Chimera's own are, those of users' own Celery tasks are not."""
    return queue in {PLAN_QUEUE, JUDGE_QUEUE} or queue.startswith(TENANT_QUEUE_PREFIX)


def fault(raw: bytes, queue: str, registered: Container[str]) -> str | None:
    """Why a message may not come in, in one word for counting; None where it may.

    Args:
        raw: the message as the queue held it.
        queue: the guarded queue that it came from.
        registered: the names of the tasks that this worker has.
    """
    if len(raw) > (MAX_PLAN_BYTES if queue == PLAN_QUEUE else MAX_BYTES):
        return "too_large"
    try:
        message = _MESSAGE.validate_json(raw)
        arguments, options, _ = _BODY.validate_json(b64decode(message.body, validate=True))
    except (ValidationError, ValueError):
        return "not_a_message"
    name = message.headers.task
    if name not in registered:
        return "unknown_task"
    if name.startswith("chimera."):
        # Both stand in Celery's log lines.
        is_plain = _IDS.fullmatch(message.headers.id) and message.headers.shadow is None
        return _misdirected(name, queue, arguments, options) if is_plain else "not_a_message"
    # Celery's own tasks run others; and what runs on the judge's queue has the judge's credentials.
    return "wrong_queue" if queue == JUDGE_QUEUE or name.startswith("celery.") else None


def _misdirected(name: str, queue: str, arguments: list[Any], options: dict[str, Any]) -> str | None:
    """What is wrong with a message to one of Chimera's own tasks."""
    message, given = MESSAGES.get(name), tuple(arguments)
    if message is None or not message.is_valid(given, options):
        return "wrong_arguments"
    return None if queue == message.queue_for(given) else "wrong_queue"
