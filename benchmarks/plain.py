"""The other side of the comparison: a plain Celery app with Celery's own defaults, and a chord of no-ops."""

import os

from celery import Celery, chord

app = Celery("plain", broker=os.environ["PLAIN_REDIS_URL"], backend=os.environ["PLAIN_REDIS_URL"])


@app.task(name="plain.noop")
def noop(number: int) -> int:
    return number


@app.task(name="plain.count")
def count(results: list[int]) -> int:
    return len(results)


@app.task(name="plain.fan_out", ignore_result=True)
def fan_out(tasks: int, body_id: str) -> None:
    """Publishes the chord from a worker, as one should: from a client it is several times slower."""
    chord([noop.s(number) for number in range(tasks)])(count.s().set(task_id=body_id))
