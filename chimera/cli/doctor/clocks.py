"""Whether the machines of the workers and of the database agree on the time."""

import time
from collections.abc import Iterator

from chimera.cli.doctor.finding import Finding, Status
from chimera.cli.doctor.settings import ROLES

# Messages of beat expire after 5 s, and times of attempts and decisions stand beside each other in the record.
TOLERATED_SECONDS = 2.0


def clocks(name: str) -> Iterator[Finding]:
    """How far each worker's clock is from the database's, as far as that can be told from the broker's."""
    from chimera.cli.stack.workers import workers_and_clock

    database = _database_offset()
    if database is None:
        yield Finding(name, Status.WARN, "no database has an address", "set CHIMERA_APP_DATABASE_URL")
        return
    heard, here = workers_and_clock()
    off = 0
    for node, worker in sorted(heard.items()):
        # Of both clocks it is known by how much they are ahead of the broker's.
        least, most = worker.ahead_seconds
        seconds = _apart((least - here[1], most - here[0]), database)
        if abs(seconds) > TOLERATED_SECONDS:
            off += 1
            way = "ahead of" if seconds > 0 else "behind"
            found = f"the clock of {node} is at least {abs(seconds):.0f} s {way} the database's"
            yield Finding(name, Status.WARN, found, "have the machines keep the time (NTP)")
    if not off:
        found = "no worker is there" if not heard else f"those of {len(heard)} workers and of the database agree"
        yield Finding(name, Status.OK, found)


def _database_offset() -> tuple[float, float] | None:
    """The least and the most that the database's clock is ahead of this machine's; None where there is no database."""
    from chimera.adapters.postgres.database import Database
    from chimera.adapters.postgres.diagnosis import now
    from chimera.settings import settings

    urls = [url for role in ROLES if (url := getattr(settings(), f"{role}_database_url"))]
    if not urls:
        return None
    database = Database(urls[0].get_secret_value(), pool_size=1)
    try:
        now(database)  # the first one takes longer: it connects
        sent = time.time()
        at = now(database).timestamp()
        return at - time.time(), at - sent
    finally:
        database.close()


def _apart(clock: tuple[float, float], other: tuple[float, float]) -> float:
    """The least that a clock is ahead of another (negative: behind), each within its bounds; 0 if they may agree."""
    least, most = clock[0] - other[1], clock[1] - other[0]
    return max(least, 0.0) + min(most, 0.0)
