"""A result: what one attempt at a task brought, staged for the Judge."""

import math
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from chimera.models.record import Instant, Record, read_json

MAX_CODE_CHARACTERS = 200
# The code of a result that cannot be judged as it is.
INVALID_RESULT = "invalid_result"
MAX_TOKENS = 10**15
MAX_COST_USD = 10**9


def reported_confidence(value: object) -> float | None:
    """A confidence as a skill reported it, or None where that is not a finite number.

    A bool or the text "0.9" is not a number. A number outside 0..1 is kept: the gate refuses it by name.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# A message is for people; the whole of an exception that quotes its input is of no use to them.
MAX_MESSAGE_CHARACTERS = 2000


def readable(message: str) -> str:
    """A message that can be stored: not too long, without NUL and half characters."""
    return message[:MAX_MESSAGE_CHARACTERS].replace("\0", "?").encode("utf-8", "replace").decode()


class SuccessOutcome(Record):
    """The skill answered."""

    kind: Literal["success"] = "success"
    output: Any
    # What the skill reported, 0..1 when it is right; None where it reported none or no finite number.
    confidence: Annotated[float | None, BeforeValidator(reported_confidence)] = None
    reasoning: str | None = None
    evidence: tuple[str, ...] = ()
    # Names of the tools that it used, and of what it is going to do where it is committed.
    tools: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()


class FailureOutcome(Record):
    """The skill did not answer."""

    kind: Literal["failure"] = "failure"
    code: str = Field(max_length=MAX_CODE_CHARACTERS)
    message: str
    retryable: bool
    details: dict[str, Any] = Field(default_factory=dict)


Outcome = Annotated[SuccessOutcome | FailureOutcome, Field(discriminator="kind")]
OUTCOME: TypeAdapter[SuccessOutcome | FailureOutcome] = TypeAdapter(Outcome)


def read_outcome(text: str) -> SuccessOutcome | FailureOutcome:
    """The outcome in a JSON text that a worker staged, or is about to.

    Raises:
        ValueError: it is none, or holds what `read_json` refuses. The message has nothing of the text.
    """
    value = read_json(text)
    try:
        return OUTCOME.validate_python(value, strict=False)
    except ValidationError:
        raise ValueError("it is no outcome") from None


class Usage(Record):
    """What an attempt cost."""

    tokens: int = Field(default=0, ge=0, le=MAX_TOKENS)
    cost_usd: Decimal = Field(default=Decimal(0), ge=0, lt=MAX_COST_USD, decimal_places=200)


NO_USAGE = Usage()


class Result(Record):
    """The staged result of one attempt."""

    task_id: UUID
    attempt: int = Field(ge=1)
    # JSON text of the outcome in canonical form: the bytes that are hashed, judged and committed.
    outcome: str
    sha256: bytes
    # Of the version of the skill that ran (SkillDeclaration.fingerprint); None where none ran.
    fingerprint: bytes | None = None
    usage: Usage = NO_USAGE
    started_at: Instant
    finished_at: Instant
