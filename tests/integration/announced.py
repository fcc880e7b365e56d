"""Has a worker and beat log that they have started. Their banners are printed, and stay in a buffer for as long as
Python pleases; a line of the log is there when it is written.
"""

import logging

from celery.signals import beat_init, worker_ready

STARTED = "has_started"


@worker_ready.connect
@beat_init.connect
def _announce(**_: object) -> None:
    logging.getLogger(__name__).warning(STARTED)
