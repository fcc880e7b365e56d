"""How often, and how soon, a process that died is started again."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class Restarts:
    """A count of one process's deaths in a row: a delay doubles with each, after `limit` it is given up."""

    limit: int = 5
    first_delay_seconds: float = 0.5
    # A process that lived this long is well again.
    steady_after_seconds: float = 60.0
    in_a_row: int = 0

    def next_delay_seconds(self, lived_seconds: float) -> float | None:
        """Seconds to wait before the next start of a process that lived this many seconds; None to give it up."""
        if lived_seconds >= self.steady_after_seconds:
            self.in_a_row = 0
        if self.in_a_row >= self.limit:
            return None
        self.in_a_row += 1
        delay: float = self.first_delay_seconds * 2 ** (self.in_a_row - 1)
        return delay
