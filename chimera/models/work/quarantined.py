"""Messages that workers refused, kept for people to look at."""

from pydantic import Field

from chimera.models.record import Instant, Record

# The beginning of a message is kept, and says what it was; of a flood not more.
MAX_KEPT_BYTES = 4096


class Quarantined(Record):
    """A message that a worker refused. Somebody who should not may have written it, and this entry, too."""

    entry_id: str = Field(pattern="^[0-9a-f]{12}$")
    # By the clock of the worker's machine.
    at: Instant
    # One word: `unsigned`, `redelivered`, `not_a_message` and so on (docs/architecture.md).
    reason: str = Field(pattern="^[a-z_]{1,40}$")
    queue: str = Field(max_length=255)
    # Of the whole message.
    size_bytes: int = Field(ge=0)
    # Its beginning, as it came.
    content: bytes = Field(max_length=MAX_KEPT_BYTES)
