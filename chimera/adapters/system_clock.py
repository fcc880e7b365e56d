"""The machine's clock."""

import random
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from chimera.ports import clock as port

# The operating system's: what is a sample for people must not be foreseen by those it is taken of.
_CHANCE = random.SystemRandom()


class SystemClock(port.Clock):
    """Time of the operating system; UUIDs of version 7 (RFC 9562), ordered within the process too."""

    def now(self) -> datetime:  # noqa: D102  see the port
        return datetime.now(UTC)

    def draw(self) -> float:  # noqa: D102
        return _CHANCE.random()

    def new_id(self) -> UUID:  # noqa: D102
        return uuid7()
