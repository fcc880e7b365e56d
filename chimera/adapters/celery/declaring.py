"""A worker's part that says which skills and planners it has, when it starts."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import structlog
from celery import bootsteps

from chimera.adapters.celery.agents import runs_batches
from chimera.adapters.celery.user_code import UserCode
from chimera.errors import ChimeraError

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 5.0


def declaring_step(declare: Callable[[], None]) -> type["Declaring"]:
    """The bootstep for the workers of this process.

    Args:
        declare: says it, and leaves no connection open; raises a ChimeraError where it cannot.
    """

    class DeclaringHere(Declaring):
        """Declares what this process has."""

        def _declare(self) -> None:
            declare()

    return DeclaringHere


class Declaring(bootsteps.StartStopStep):
    """Declares once, before the pool forks; where PostgreSQL is away, a thread tries again until it is there.

    A worker works without it: processes without the project's code only know less of it.
    """

    requires = (UserCode,)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopped = Event()
        self._declared = False

    def include_if(self, worker: Any) -> bool:
        """Whether this worker runs batches: another may lack the credentials."""
        return runs_batches(worker)

    def create(self, _worker: Any) -> None:
        """Declares: steps are made before any of them starts, and so before the pool does."""
        self._try()

    def start(self, _worker: Any) -> None:
        """Goes on trying, if need be."""
        if not self._declared:
            Thread(target=self._try_again, name="chimera-declaring", daemon=True).start()

    def stop(self, _worker: Any) -> None:
        """Tries no more."""
        self._stopped.set()

    def _try_again(self) -> None:
        while not (self._declared or self._stopped.wait(AGAIN_SECONDS)):
            self._try()

    def _try(self) -> None:
        try:
            self._declare()
        except ChimeraError as exc:
            log.warning("skills_not_declared", error=str(exc))
        except Exception:
            # Whatever it is, the worker can work.
            log.exception("skills_not_declared")
        else:
            self._declared = True

    def _declare(self) -> None:
        raise NotImplementedError
