"""What the measured plans run: a skill that does nothing, so that all that is measured is Chimera."""

import asyncio
import time
from collections.abc import Iterator

from chimera import Success, TaskSpec, planner, skill

# Of a task that does something.
TASK_SECONDS = 0.02


@skill(name="bench.noop", max_batch=250)
def noop(number: int) -> Success[int]:
    return Success(number, confidence=1.0)


@planner(name="bench.noops")
def noops(count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield noop.task(number)


@skill(name="bench.text", max_batch=250)
def text(number: int, size: int) -> Success[str]:
    """As many characters as an answer of a model has."""
    return Success(f"{number} {'a word or two of it ' * (size // 20)}", confidence=1.0)


@planner(name="bench.texts")
def texts(count: int, size: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield text.task(number, size)


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


@skill(name="bench.noop50", max_batch=50)
def noop50(number: int) -> Success[int]:
    return Success(number, confidence=1.0)


@planner(name="bench.noops50")
def noops50(count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield noop50.task(number)


@skill(name="bench.sleep", max_batch=50)
def sleep(number: int) -> Success[int]:
    time.sleep(TASK_SECONDS)
    return Success(number, confidence=1.0)


@planner(name="bench.sleeps")
def sleeps(count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield sleep.task(number)
