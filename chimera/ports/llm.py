"""A language model that answers one question."""

from typing import Any, Literal, Protocol

from pydantic import Field

from chimera.models.record import Record
from chimera.models.work.result import NO_USAGE, Usage


class LlmRequest(Record):
    """One question: JSON-compatible, so that it can be stored, hashed and asked again."""

    purpose: Literal["plan", "skill", "judge"]
    # An alias of the deployment's configuration, never a provider's own name.
    model: str
    system: str
    prompt: str
    # JSON Schema of the answer.
    output_schema: dict[str, Any]
    max_output_tokens: int = Field(default=1024, ge=1)
    timeout_seconds: float = Field(gt=0)
    # The same question asked again after a fault has the same key.
    idempotency_key: str


class LlmAnswer(Record):
    """What the model said: nothing of it can be relied on, its form neither."""

    output: Any
    usage: Usage = NO_USAGE


class Llm(Protocol):
    """May be called from several threads at once."""

    def complete(self, request: LlmRequest) -> LlmAnswer:
        """Asks once, within the request's timeout.

        Raises:
            LlmFailed: no answer: refused, too late, unreachable, or no such model.
        """
        ...
