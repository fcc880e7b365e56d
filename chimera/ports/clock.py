"""Time, ids that are ordered by it, and chance."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Where times and ids come from."""

    def now(self) -> datetime:
        """The time now, aware, UTC."""
        ...

    def draw(self) -> float:
        """A random number from 0 to below 1 that nobody can foresee."""
        ...

    def new_id(self) -> UUID:
        """A new UUID of version 7: later ones sort after earlier ones."""
        ...
