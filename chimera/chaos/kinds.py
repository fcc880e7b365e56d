"""The kinds of faults: how often each is drawn, how long it lasts, how soon work must go on after it."""

from enum import StrEnum

from pydantic import Field

from chimera.models.record import Record


class Clock(StrEnum):
    """From when on the time to recover counts."""

    INJECTED = "injected"  # from the moment of the fault
    HEALED = "healed"  # from the moment that what was gone is there again


class Kind(Record):
    """A kind of fault."""

    name: str
    # What happens, in a sentence.
    sentence: str
    # How often it is drawn beside the others.
    weight: int = Field(ge=1)
    # The shortest and longest time between its beginning and its end, in seconds; drawn evenly by order of magnitude.
    seconds: tuple[float, float] = (0.0, 0.0)
    clock: Clock = Clock.INJECTED
    # The longest time to recover that is promised; None where none is.
    limit_seconds: float | None = None
    # Whether it strikes PostgreSQL, which bare Celery does not use.
    of_postgres: bool = False
    # Whether it strikes beat, which bare Celery's chords do without.
    of_beat: bool = False


_CHILD, _PROCESS, _FLUSH, _SERVER, _PARTITION = 5.0, 15.0, 5.0, 10.0, 15.0
_STOPPED = (1.0, 20.0)

KINDS: tuple[Kind, ...] = (
    Kind(name="child_killed", sentence="SIGKILL of a child of the worker's pool", weight=6, limit_seconds=_CHILD),
    Kind(name="judge_child_killed", sentence="SIGKILL of a child of the Judge's pool", weight=3, limit_seconds=_CHILD),
    Kind(name="worker_killed", sentence="SIGKILL of the worker, its children too", weight=2, limit_seconds=_PROCESS),
    Kind(
        name="worker_main_killed",
        sentence="SIGKILL of the worker's main process; its children go on for 5 s",
        weight=2,
        limit_seconds=_PROCESS,
    ),
    Kind(name="judge_killed", sentence="SIGKILL of the Judge, its children too", weight=2, limit_seconds=_PROCESS),
    Kind(name="beat_killed", sentence="SIGKILL of a beat", weight=2, of_beat=True),
    Kind(
        name="redis_restarted",
        sentence="SIGKILL of Redis, started again with its append-only file",
        weight=2,
        clock=Clock.HEALED,
        limit_seconds=_SERVER,
    ),
    Kind(
        name="redis_emptied",
        sentence="SIGKILL of Redis, started again without its data",
        weight=2,
        clock=Clock.HEALED,
        limit_seconds=_SERVER,
    ),
    Kind(name="flushall", sentence="FLUSHALL", weight=3, limit_seconds=_FLUSH),
    Kind(
        name="postgres_restarted",
        sentence="immediate stop or SIGKILL of PostgreSQL, started again",
        weight=1,
        clock=Clock.HEALED,
        limit_seconds=_SERVER,
        of_postgres=True,
    ),
    Kind(
        name="backend_killed",
        sentence="SIGKILL of a PostgreSQL backend, which makes the server start anew",
        weight=1,
        clock=Clock.HEALED,
        limit_seconds=_SERVER,
        of_postgres=True,
    ),
    Kind(name="backend_terminated", sentence="pg_terminate_backend", weight=4, of_postgres=True),
    Kind(
        name="worker_stopped",
        sentence="SIGSTOP of the worker's main process, SIGCONT later",
        weight=2,
        seconds=_STOPPED,
        clock=Clock.HEALED,
    ),
    Kind(
        name="child_stopped",
        sentence="SIGSTOP of a child of the worker's pool, SIGCONT later",
        weight=2,
        seconds=_STOPPED,
        clock=Clock.HEALED,
    ),
    Kind(
        name="judge_stopped",
        sentence="SIGSTOP of the Judge's main process or a child, SIGCONT later",
        weight=2,
        seconds=_STOPPED,
        clock=Clock.HEALED,
    ),
    Kind(
        name="beat_stopped",
        sentence="SIGSTOP of a beat, SIGCONT later",
        weight=1,
        seconds=_STOPPED,
        clock=Clock.HEALED,
        of_beat=True,
    ),
    Kind(
        name="redis_stopped",
        sentence="SIGSTOP of Redis, SIGCONT later",
        weight=1,
        seconds=_STOPPED,
        clock=Clock.HEALED,
    ),
    Kind(
        name="backend_stopped",
        sentence="SIGSTOP of a PostgreSQL backend, SIGCONT later",
        weight=2,
        seconds=_STOPPED,
        clock=Clock.HEALED,
        of_postgres=True,
    ),
    Kind(name="messages_duplicated", sentence="messages that wait or are worked on are sent again", weight=5),
    Kind(name="message_dropped", sentence="a message is taken out of a queue", weight=4),
    Kind(name="queue_deleted", sentence="a queue is deleted with all of its messages", weight=2),
    Kind(
        name="message_delayed",
        sentence="a message is taken out of a queue and put back later",
        weight=3,
        seconds=(1.0, 10.0),
    ),
    Kind(
        name="link_slow",
        sentence="100 to 500 ms more each way between a process and a server",
        weight=3,
        seconds=(2.0, 8.0),
        clock=Clock.HEALED,
    ),
    Kind(name="link_cut", sentence="all connections of a process to a server are reset", weight=4),
    Kind(name="reply_dropped", sentence="a server did what it was asked, and its reply is lost", weight=4),
    Kind(
        name="partition",
        sentence="nothing passes between a process and a server, and neither is told",
        weight=2,
        seconds=(5.0, 30.0),
        clock=Clock.HEALED,
        limit_seconds=_PARTITION,
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}
