"""The skill and the planners that the next deploy adds."""

import time
from collections.abc import Iterator

from chimera import Success, TaskSpec, planner, skill
from tests.integration.skills import number


@skill(name="next.shout", max_batch=1)
def shout(text: str, seconds: float = 0.0) -> Success[str]:
    """Says it louder.

    By a lot.
    """
    time.sleep(seconds)
    return Success(f"{text.upper()}!", confidence=1.0)


@planner(name="next.shouts")
def shouts(count: int, seconds: float = 0.0) -> Iterator[TaskSpec]:
    """As many shouts, and as many numbers, which every worker knows."""
    for value in range(count):
        yield shout.task(f"no {value}", seconds)
        yield number.task(value)
