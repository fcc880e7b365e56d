"""A result: what one attempt at a task brought, staged for the Judge."""

import math
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, TypeAdapter

from chimera.models.record import Instant, Record


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
    code: str
    message: str
    retryable: bool
    details: dict[str, Any] = Field(default_factory=dict)


Outcome = Annotated[SuccessOutcome | FailureOutcome, Field(discriminator="kind")]
OUTCOME: TypeAdapter[SuccessOutcome | FailureOutcome] = TypeAdapter(Outcome)


class Usage(Record):
    """What an attempt cost."""

    tokens: int = Field(default=0, ge=0)
    cost_usd: Decimal = Field(default=Decimal(0), ge=0)


NO_USAGE = Usage()


class Result(Record):
    """The staged result of one attempt."""

    task_id: UUID
    attempt: int = Field(ge=1)
    # JSON text of the outcome in canonical form: the bytes that are hashed, judged and committed.
    outcome: str
    sha256: bytes
    usage: Usage = NO_USAGE
    started_at: Instant
    finished_at: Instant
