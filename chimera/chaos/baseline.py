"""The other side of the comparison: chords on bare Celery, with the settings that lose the least.

acks_late and reject_on_worker_lost, prefetch 1, and the messages of a dead worker back after 30 s, which is as
soon as Celery's chords allow.
"""

import os
import time

from celery import Celery, chord

from chimera.adapters.celery import backend
from chimera.chaos.skills import Step, note, note_run

HEADERS, BODIES = "headers", "bodies"
VISIBILITY_SECONDS = 30

_URL = os.environ["CHIMERA_REDIS_URL"]
# Celery's own result store, without a subscription to each header's result: the sender reads none of them.
app = Celery("baseline", broker=_URL, backend=f"{backend.NAME}+{_URL}")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30.0,
        "socket_connect_timeout": 5.0,
    },
    redis_socket_timeout=30.0,
    redis_socket_connect_timeout=5.0,
    task_routes={"baseline.step": HEADERS, "baseline.body": BODIES},
)


@app.task(name="baseline.step")
def step(nonce: str, seconds: float) -> str:
    """One header: notes that it runs, takes its time, answers."""
    note_run(nonce, seconds)
    time.sleep(seconds)
    return nonce


@app.task(name="baseline.body")
def body(results: list[str], key: str) -> int:
    """What a chord is for: runs once, when all of its headers have answered."""
    note("body", key=key, results=len(results))
    return len(results)


def send(key: str, steps: tuple[Step, ...]) -> None:
    """Sends a chord; when it returns, Redis has taken it."""
    # A generator: of a list Celery makes a result that listens for each header.
    header = (step.si(f"{key}/{place}", each.seconds) for place, each in enumerate(steps))
    quiet = body.s(key).set(ignore_result=True)  # type: ignore[call-arg]  # celery-types knows fewer options
    chord(header, quiet).apply_async()
