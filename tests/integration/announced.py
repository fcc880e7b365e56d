"""Has workers, their children and beat log that they have started, and the children that they end. Celery's banners are
printed, and stay in a buffer for as long as Python pleases; a line of the log is there when it is written.
"""

import logging

from celery.signals import beat_init, worker_process_init, worker_process_shutdown, worker_ready

STARTED, CHILD_STARTS, CHILD_ENDS = "has_started", "child_starts", "child_ends"


@worker_ready.connect
@beat_init.connect
def _announce(**_: object) -> None:
    logging.getLogger(__name__).warning(STARTED)


@worker_process_shutdown.connect
def _announce_end(**_: object) -> None:
    logging.getLogger(__name__).warning(CHILD_ENDS)


@worker_process_init.connect
def _announce_child(**_: object) -> None:
    logging.getLogger(__name__).warning(CHILD_STARTS)
