"""What a pool's children are told: when to hand over what they have not started, and how much memory they may use;
and how the worker itself is ended.
"""

import os
import resource
import signal
from collections.abc import Callable

from billiard.process import active_children, current_process
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down

# Celery ends its children's tasks with SIGUSR1; nothing of it uses this one.
DRAIN = signal.SIGUSR2


def end_worker() -> None:
    """Has this process end as a worker does that is told to: it finishes what runs, and hands over the rest.

    In a pool child nothing happens: it is replaced by `worker_max_tasks_per_child`, and by its time limits.
    """
    if getattr(current_process(), "_parent_pid", None) is None:
        os.kill(os.getpid(), signal.SIGTERM)


def connect(drain: Callable[[], None], max_memory_bytes: int | None) -> None:
    """Has `drain` called, in the process that runs batches, when the worker is told to end.

    Args:
        drain: may be called in a signal handler, more than once, and where no batch runs.
        max_memory_bytes: of data in each child of a prefork pool; what asks for more gets a MemoryError.
    """
    told_to_end = False

    def told(*_: object) -> None:
        nonlocal told_to_end
        told_to_end = True
        drain()

    def started(**_: object) -> None:
        signal.signal(DRAIN, told)
        # After what user code has connected.
        worker_process_shutdown.connect(ended, weak=False)
        if max_memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (max_memory_bytes, max_memory_bytes))

    def ended(exitcode: int, **_: object) -> None:
        # billiard has a child wait for 1 s before it is gone, for its parent to read that it is: a parent that ends
        # itself waits for all of them, and reads nothing any more.
        if told_to_end:
            os._exit(exitcode)

    def ending(**_: object) -> None:
        drain()  # the threads and solo pools run batches here
        for child in active_children():
            if child.pid is not None:
                os.kill(child.pid, DRAIN)

    worker_process_init.connect(started, weak=False)
    worker_shutting_down.connect(ending, weak=False)
