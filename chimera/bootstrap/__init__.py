"""The one place where services get their adapters: lazily, once per process, and never across a fork."""

import os
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from celery import Celery

from chimera.adapters.celery.agents import WorkerProcess, agents_step
from chimera.adapters.celery.app import make_app
from chimera.adapters.celery.bound import own_queue_step
from chimera.adapters.celery.declaring import declaring_step
from chimera.adapters.celery.keyed import Keyed
from chimera.adapters.celery.pools import Pools
from chimera.adapters.celery.presence import presence_step
from chimera.adapters.celery.remote import Remote
from chimera.adapters.celery.tenants import TenantQueues
from chimera.adapters.celery.user_code import UserCode, import_project
from chimera.adapters.system_clock import SystemClock
from chimera.bootstrap.adapters import Adapters
from chimera.bootstrap.auditing import Auditing
from chimera.bootstrap.declaring import declare
from chimera.bootstrap.governing import Governing
from chimera.bootstrap.judging import Judging
from chimera.bootstrap.reviewing import Reviewing
from chimera.bootstrap.submitting import Submitting
from chimera.bootstrap.working import Working, board, process_id
from chimera.models.work.catalogue import Catalogue
from chimera.ports.clock import Clock
from chimera.registration import CATALOGUE
from chimera.settings import Settings, settings

if TYPE_CHECKING:
    from chimera.adapters.postgres.migrate import Migrations

__all__ = [
    "Services",
    "auditing",
    "celery_app",
    "load_user_code",
    "migrations",
    "role_urls",
    "services",
]


class Services:
    """Every service, in groups, and the adapters under them, for callers that need no service between.

    Each is made when it is first used: a process needs the credentials of those it uses only.
    """

    def __init__(self, app: Celery, settings: Settings, catalogue: Catalogue, clock: Clock) -> None:
        self._app = app
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock

    def load_user_code(self) -> Catalogue:
        """The skills and planners that are known here, with those of the modules that celeryconfig.py imports.

        Raises whatever such a module raises when it is imported.
        """
        import_project(self._app)
        return self._catalogue

    def find_planner(self, name: str) -> None:
        """Imports what celeryconfig.py names, as `load_user_code` does, where no planner of this name is known yet."""
        if name not in self._catalogue.planners:
            self.load_user_code()

    @cached_property
    def adapters(self) -> Adapters:
        """The stores, and the broker."""
        return Adapters(self._app, self._settings, self._clock)

    @cached_property
    def submitting(self) -> Submitting:
        """Plans to submit and to control."""
        return Submitting(self.adapters, self._settings, self._catalogue, self._clock)

    @cached_property
    def working(self) -> Working:
        """Planners and skills to run."""
        return Working(self.adapters, self._settings, self._catalogue, self._clock)

    @cached_property
    def judging(self) -> Judging:
        """Waves to gate and to send."""
        return Judging(self.adapters, self._settings, self._catalogue, self._clock)

    @cached_property
    def reviewing(self) -> Reviewing:
        """Cards for people."""
        return Reviewing(self.adapters, self._settings, self._catalogue, self._clock)

    @cached_property
    def governing(self) -> Governing:
        """Policies and budgets."""
        return Governing(self.adapters, self._settings, self._catalogue, self._clock)


@cache
def celery_app() -> Celery:
    """The Celery app of this process.

    Raises:
        SettingsMissing: no broker is named.
    """
    app = make_app(settings())
    app.steps["consumer"].add(TenantQueues)
    app.steps["worker"].add(UserCode)
    app.steps["worker"].add(Pools)
    app.steps["worker"].add(Keyed)
    app.steps["worker"].add(Remote)
    if tenant := settings().bound_tenant:
        app.steps["worker"].add(own_queue_step(tenant))
    app.steps["worker"].add(agents_step(_worker_process))
    app.steps["worker"].add(declaring_step(partial(declare, settings(), CATALOGUE)))
    if settings().isolation == "host":
        # Elsewhere nobody makes hosts.
        from chimera.bootstrap.isolating import ask_for_project

        app.ask_for_project = partial(ask_for_project, settings=settings(), catalogue=CATALOGUE)
    if not settings().bound_tenant:  # whose workers' beats say that they are there
        has = (CATALOGUE.skill_names, CATALOGUE.planner_names)
        app.steps["consumer"].add(presence_step(*has, settings().isolation, settings().logins))
    process_id()
    board()
    return app


@cache
def services() -> Services:
    """The services of this process."""
    return Services(celery_app(), settings(), CATALOGUE, SystemClock())


@cache
def auditing() -> Auditing:
    """What seals this deployment's audit, and what verifying it needs."""
    return Auditing(settings(), SystemClock())


def _worker_process() -> WorkerProcess:
    slots = services().working.agent_slots
    return WorkerProcess(
        process_id=process_id(),
        registry=services().adapters.agents,
        skills=CATALOGUE.skill_names,
        planners=CATALOGUE.planner_names,
        running=slots.running,
        begun=slots.begun,
        tallies=slots.tallies,
        tally_of_child=board().read,
    )


def load_user_code() -> Catalogue:
    """The skills and planners of the modules that celeryconfig.py imports."""
    return services().load_user_code()


def migrations() -> "Migrations":
    """The schema of this process's database; role owner."""
    # Alembic takes longer to import than all the rest, and only `chimera db` and a starting stack need it.
    from chimera.adapters.postgres.migrate import Migrations

    return Migrations(settings().require("owner_database_url"))


def role_urls() -> list[str]:
    """The URLs of the roles whose logins `chimera db upgrade` sets."""
    known = settings()
    urls = (
        *(known.app_database_url, known.worker_database_url, known.judge_database_url),
        *(known.seal_database_url, known.review_database_url),
    )
    return [url.get_secret_value() for url in urls if url is not None]


# A child's connections are its own.
os.register_at_fork(after_in_child=services.cache_clear)
