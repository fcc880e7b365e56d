"""Which of Celery's pools a worker of Chimera's may have."""

from typing import Any

from celery import bootsteps

_GREENLETS = {"celery.concurrency.gevent": "gevent", "celery.concurrency.eventlet": "eventlet"}
_WHY = (
    "it runs the threads that keep leases and beat for agents in one loop with the skills, so that one that computes "
    "for 3 s has its worker taken for dead, and no timeout ends it. Use -P prefork, or -P threads; async skills of a "
    "batch run at the same time in both"
)
_THREADS = "celery.concurrency.thread"
_ONE_HOST = "each pool child has one host at a time, of the tenant whose batch it runs. Use -P prefork"


class Pools(bootsteps.Step):
    """Ends a worker before it starts, with the reason, where its pool cannot keep what Chimera promises."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        for kind in worker.pool_cls.__mro__:
            if name := _GREENLETS.get(kind.__module__):
                raise SystemExit(f"chimera: the pool {name} is not supported: {_WHY}")
            if kind.__module__ == _THREADS and worker.app.ask_for_project:
                raise SystemExit(f"chimera: the pool threads is not supported with CHIMERA_ISOLATION=host: {_ONE_HOST}")
