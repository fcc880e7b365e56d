"""A clock that stands still until it is told to go on."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from chimera.ports import clock as port


class FakeClock(port.Clock):
    """Its time and its draws are set by the test; its ids are of version 7 and rise by one."""

    def __init__(self, time: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.time = time
        self._numbers = count(1)
        self.drawn = 0.5

    def now(self) -> datetime:
        return self.time

    def draw(self) -> float:
        return self.drawn

    def new_id(self) -> UUID:
        milliseconds = int(self.time.timestamp() * 1000)
        return UUID(int=milliseconds << 80 | 7 << 76 | 0b10 << 62 | next(self._numbers))

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
