"""What travels of a message beside its arguments: the parts that are signed and survive, and no others."""

import json
from base64 import b64decode, b64encode
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import uuid4

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from chimera.adapters.celery.messages import HIDDEN
from chimera.adapters.celery.signer import Signer

# The header that has the signature.
SIGNATURE = "chimera_signature"
# What is signed begins with it: a signature of another kind or of a later form is none of this one.
_FORM = "chimera message 1"
_YEARS = range(2000, 2200)


class Part(BaseModel):
    """What is read of a message; whatever stands beside it is left behind."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        # Most processes that import this read no message.
        defer_build=True,
    )


def _sensible(moment: str) -> str:
    """A moment as Celery writes it, with a time zone, and none that its arithmetic cannot take."""
    if _MOMENT.validate_python(moment).year not in _YEARS:
        raise ValueError("not a year of this time")
    return datetime.fromisoformat(moment).isoformat()


_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
Short = Annotated[str, Field(max_length=255)]
Shown = Annotated[str, Field(max_length=8192)]
Moment = Annotated[str, Field(max_length=64), AfterValidator(_sensible)]
LimitSeconds = Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)]


class Options(Part):
    """What of a message's headers reaches Celery. All of it is signed."""

    id: Annotated[str, Field(min_length=1, max_length=255)]
    task: Annotated[str, Field(min_length=1, max_length=255)]
    root_id: Short | None = None
    parent_id: Short | None = None
    group: Short | None = None
    group_index: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    retries: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    timelimit: tuple[LimitSeconds | None, LimitSeconds | None] | None = None
    eta: Moment | None = None
    expires: Moment | None = None
    ignore_result: bool | None = None
    # How often its task was replaced by another: users' own do that.
    replaced_task_nesting: Annotated[int, Field(ge=0, le=1000)] | None = None
    # What logs and Flower show, of users' own tasks.
    shadow: Short | None = None
    argsrepr: Shown | None = None
    kwargsrepr: Shown | None = None


class Headers(Options):
    """The headers that are read."""

    signature: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(default=None, alias=SIGNATURE)


class DeliveryInfo(Part):
    """Where a message came from; the way to it is known from where it was found, so only this is read."""

    redelivered: bool = False
    # How often it was put back into its queue. It is not signed: whoever may change it may as well take the message
    # away.
    redeliveries: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class Properties(Part):
    """The properties that are read."""

    body_encoding: Literal["base64"]
    delivery_info: DeliveryInfo = DeliveryInfo()
    priority: Annotated[int, Field(ge=0, le=9)] | None = None


class Envelope(Part):
    """A message as it lies in its queue."""

    body: str
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: Headers
    properties: Properties

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """The message of these bytes.

        Raises:
            ValueError: it is none.
        """
        return cls.model_validate_json(raw)

    def content(self, queue: str) -> bytes:
        """What is signed, for a message in this queue."""
        options = [getattr(self.headers, name) for name in _SIGNED]
        return json.dumps([_FORM, queue, self.properties.priority, *options, self.body]).encode()

    def is_signed(self, signer: Signer, queue: str) -> bool:
        """Whether it was signed, with a key of this deployment, to lie in this queue."""
        signature = self.headers.signature
        return signature is not None and signer.is_of(self.content(queue), signature, queue)

    def arguments(self) -> "Arguments":
        """What its task is called with, and what is to follow it.

        Raises:
            ValueError: its body is none of a Celery task.
        """
        return Arguments(*_BODY.validate_json(b64decode(self.body, validate=True)))


_SIGNED = tuple(Options.model_fields)


class Follower(Part):
    """A signature in Celery's sense: a task that is to be sent. Users' own tasks have others follow them."""

    task: Short
    args: list[Any] = []
    named: dict[str, Any] = Field(default={}, alias="kwargs")
    options: dict[str, Any] = {}
    subtask_type: Short | None = None
    immutable: bool = False
    chord_size: int | None = None


class Followers(Part):
    """What is to be sent when a task has ended."""

    callbacks: list[Follower] | None = None
    errbacks: list[Follower] | None = None
    chain: list[Follower] | None = None
    chord: Follower | None = None


class Arguments(NamedTuple):
    """The body of a message."""

    positional: list[Any]
    named: dict[str, Any]
    followers: Followers


_BODY: TypeAdapter[tuple[list[Any], dict[str, Any], Followers]] = TypeAdapter(
    tuple[list[Any], dict[str, Any], Followers], config=ConfigDict(defer_build=True)
)


def sign(message: dict[str, Any], signer: Signer, queue: str) -> None:
    """Signs a message that is about to be put into this queue.

    Raises:
        ValueError: something of it could not travel.
        SettingsMissing: there is no key.
    """
    envelope = Envelope.model_validate(message)
    # As it is signed, so it must be read: a moment may be written in several ways.
    message["headers"] |= {name: getattr(envelope.headers, name) for name in ("eta", "expires")}
    message["headers"][SIGNATURE] = signer.sign(envelope.content(queue), queue)


class Built(NamedTuple):
    """A message that was built anew, and the delivery tag that it has."""

    tag: str
    raw: bytes


def built_anew(options: Options, arguments: Arguments, properties: Properties, signer: Signer, queue: str) -> Built:
    """A message made of what is known of it, signed: nothing else of what came in is in it."""
    body = json.dumps([arguments.positional, arguments.named, arguments.followers.model_dump(by_alias=True)])
    delivery, tag = properties.delivery_info, str(uuid4())
    message = {
        "body": b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {name: getattr(options, name) for name in _SIGNED} | _PLAIN_HEADERS,
        "properties": {
            "correlation_id": options.id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue} | delivery.model_dump(),
            "priority": properties.priority or 0,
            "body_encoding": "base64",
            # What is delivered and not acknowledged is known by it: two of the same would be one.
            "delivery_tag": tag,
        },
    }
    sign(message, signer, queue)
    return Built(tag, json.dumps(message).encode())


def count_redelivery(message: Any) -> None:
    """Notes in a message that is put back into its queue that it is, once more."""
    try:
        delivery = message["properties"]["delivery_info"]
        delivery["redeliveries"] = DeliveryInfo.model_validate(delivery).redeliveries + 1
    except (TypeError, KeyError, ValueError, AttributeError):
        return  # none that the door has let in, and it will not do so now


_PLAIN_HEADERS: dict[str, Any] = {"lang": "py", "origin": "", "stamped_headers": None, "stamps": {}}


def hidden(options: Options) -> Options:
    """With nothing in it that logs and events would show of arguments."""
    return options.model_copy(update={**HIDDEN, "shadow": None})
