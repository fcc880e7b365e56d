"""How often, and how soon, a process that died is started again."""

from dataclasses import dataclass

MAX_DELAY_SECONDS = 60.0
# By then it is more than that, whatever the first was.
_DOUBLED_TIMES = 30


@dataclass(kw_only=True)
class Restarts:
    """A count of one process's deaths in a row: a delay doubles with each, up to a minute."""

    # After which it is given up; None: never.
    limit: int | None = 5
    first_delay_seconds: float = 0.5
    # A process that lived this long is well again.
    steady_after_seconds: float = 60.0
    in_a_row: int = 0

    def next_delay_seconds(self, lived_seconds: float) -> float | None:
        """Seconds to wait before the next start of a process that lived this many seconds; None to give it up."""
        if lived_seconds >= self.steady_after_seconds:
            self.in_a_row = 0
        if self.limit is not None and self.in_a_row >= self.limit:
            return None
        self.in_a_row += 1
        return min(MAX_DELAY_SECONDS, self.first_delay_seconds * 2.0 ** min(self.in_a_row - 1, _DOUBLED_TIMES))
