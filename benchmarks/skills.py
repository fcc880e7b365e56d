"""What the measured plans run: a skill that does nothing, so that all that is measured is Chimera."""

import asyncio
from collections.abc import Iterator

from chimera import Success, TaskSpec, planner, skill


@skill(name="bench.noop", max_batch=250)
def noop(number: int) -> Success[int]:
    return Success(number, confidence=1.0)


@planner(name="bench.noops")
def noops(count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield noop.task(number)


@skill(name="bench.waits", max_batch=10)
async def waits(number: int, seconds: float) -> Success[int]:
    await asyncio.sleep(seconds)
    return Success(number, confidence=1.0)


@planner(name="bench.waits")
def all_wait(count: int, seconds: float) -> Iterator[TaskSpec]:
    for number in range(count):
        yield waits.task(number, seconds)


@skill(name="bench.nearly_cards")
def nearly_cards(number: int) -> Success[str]:
    """1 MB of what is nearly card numbers, with which a gate may be kept busy."""
    return Success(f"{number} " + "4111-" * 200_000, confidence=1.0)


@planner(name="bench.flood")
def flood(count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield nearly_cards.task(number)
