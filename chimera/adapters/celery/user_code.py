"""The project's modules, that `imports` and `include` of celeryconfig.py name: who imports them, and who must not."""

from typing import Any

from celery import Celery, bootsteps
from celery.loaders.app import AppLoader

from chimera.adapters.celery.queue_names import JUDGE_QUEUE, named_queues


def runs_user_code(worker: Any) -> bool:
    """Whether a worker has a use for the project's modules: unless it consumes the Judge's queue and no other."""
    return named_queues(worker.app) != {JUDGE_QUEUE}


class Loader(AppLoader):
    """Imports the project's modules for those who ask for them, and not because a process of Celery's starts.

    What a module does when it is imported, and each validator of a type in it, can do all that its process can: a Judge
    decides, beat starts plans, and Flower knows a password.
    """

    @property
    def default_modules(self) -> set[str]:
        """What every process imports: nothing of the project's."""
        return set(self.builtin_modules)

    def import_project(self) -> None:
        """Imports the project's modules, those of the working folder too. Raises whatever one raises."""
        for module in super().default_modules:
            self.import_task_module(module)


def import_project(app: Celery) -> None:
    """Imports the project's modules here. Raises whatever one raises."""
    assert isinstance(app.loader, Loader)
    app.loader.import_project()


class UserCode(bootsteps.StartStopStep):
    """Imports them in a worker that has a use for them, before its pool forks; what a module raises ends the worker."""

    def include_if(self, worker: Any) -> bool:
        """Whether this worker is one."""
        return runs_user_code(worker)

    def create(self, worker: Any) -> None:
        """Imports them, or asks a host what they have: steps are made before any of them starts."""
        (worker.app.ask_for_project or import_project)(worker.app)
