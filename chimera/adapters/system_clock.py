"""The machine's clock."""

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from chimera.ports import clock as port


class SystemClock(port.Clock):
    """Time of the operating system; UUIDs of version 7 (RFC 9562), ordered within the process too."""

    def now(self) -> datetime:  # noqa: D102  see the port
        return datetime.now(UTC)

    def new_id(self) -> UUID:  # noqa: D102
        return uuid7()
