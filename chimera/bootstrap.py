"""The one place where services get their adapters: lazily, once per process, and never across a fork."""

import os
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from celery import Celery

from chimera.adapters.celery.agents import Here, agents_step
from chimera.adapters.celery.app import make_app
from chimera.adapters.celery.queue import Queue
from chimera.adapters.celery.tenants import TenantQueues
from chimera.adapters.files.checkpoint_place import CheckpointPlace as FilePlace
from chimera.adapters.files.key_ring import KeyRing
from chimera.adapters.http.checkpoint_place import CheckpointPlace as HttpPlace
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.stores.access_log import AccessLog
from chimera.adapters.postgres.stores.audit_log import AuditLog
from chimera.adapters.postgres.stores.budget_store import BudgetStore
from chimera.adapters.postgres.stores.card_store import CardStore
from chimera.adapters.postgres.stores.checkpoint_store import CheckpointStore
from chimera.adapters.postgres.stores.control_store import ControlStore
from chimera.adapters.postgres.stores.decision_store import DecisionStore
from chimera.adapters.postgres.stores.erasure_store import ErasureStore
from chimera.adapters.postgres.stores.plan_store import PlanStore
from chimera.adapters.postgres.stores.policy_store import PolicyStore
from chimera.adapters.postgres.stores.replan_store import ReplanStore
from chimera.adapters.postgres.stores.review_store import ReviewStore
from chimera.adapters.postgres.stores.state_store import StateStore
from chimera.adapters.postgres.stores.sweep_store import SweepStore
from chimera.adapters.postgres.stores.task_store import TaskStore
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.postgres.stores.verdict_store import VerdictStore
from chimera.adapters.postgres.stores.wave_store import WaveStore
from chimera.adapters.postgres.stores.work_store import WorkStore
from chimera.adapters.redis.agent_registry import AgentRegistry
from chimera.adapters.redis.connection import connect
from chimera.adapters.system_clock import SystemClock
from chimera.models.work.skill import Catalogue
from chimera.ports.access_log import AccessLog as AccessLogPort
from chimera.ports.agent_registry import AgentRegistry as AgentRegistryPort
from chimera.ports.audit_log import AuditLog as AuditLogPort
from chimera.ports.budget_store import BudgetStore as BudgetStorePort
from chimera.ports.checkpoint_place import CheckpointPlace
from chimera.ports.clock import Clock
from chimera.ports.control_store import ControlStore as ControlStorePort
from chimera.ports.erasure_store import ErasureStore as ErasureStorePort
from chimera.ports.llm import Llm
from chimera.ports.plan_store import PlanStore as PlanStorePort
from chimera.ports.policy_store import PolicyStore as PolicyStorePort
from chimera.ports.state_store import StateStore as StateStorePort
from chimera.ports.task_store import TaskStore as TaskStorePort
from chimera.ports.tenant_store import TenantStore as TenantStorePort
from chimera.registration import CATALOGUE
from chimera.services.agent_slots import AgentSlots
from chimera.services.budget_service import BudgetService
from chimera.services.calibration_report import CalibrationReports
from chimera.services.checkpointer import Checkpointer
from chimera.services.control import PlanControl
from chimera.services.dispatcher import Dispatcher
from chimera.services.judge import Judge
from chimera.services.lease_keeper import LeaseKeeper
from chimera.services.opinions import Opinions
from chimera.services.orchestrator import Orchestrator
from chimera.services.planner import PlannerService
from chimera.services.policy_service import PolicyService
from chimera.services.replanner import ReplannerService
from chimera.services.review_service import ReviewService
from chimera.services.sweep import Sweep
from chimera.services.worker import WorkerService
from chimera.settings import Settings, settings

if TYPE_CHECKING:
    from chimera.adapters.postgres.migrate import Migrations


# So many intervals of checkpoints an entry may wait to be sealed; then nothing is decided any more.
INTERVALS_UNTIL_UNAVAILABLE = 3


class Services:
    """Every service, made when it is first used: a process needs the credentials of those it uses only."""

    def __init__(self, app: Celery, settings: Settings, catalogue: Catalogue, clock: Clock) -> None:
        self._app = app
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock

    @cached_property
    def orchestrator(self) -> Orchestrator:
        """Submits and stops plans; role app."""
        limit = self._settings.max_inputs_bytes
        return Orchestrator(self.plans, self._queue, self._catalogue, self._clock, max_inputs_bytes=limit)

    @cached_property
    def plans(self) -> PlanStorePort:
        """Plans to read; role app."""
        return PlanStore(self._app_database)

    @cached_property
    def states(self) -> StateStorePort:
        """Shared state to read; role app."""
        return StateStore(self._app_database)

    @cached_property
    def tasks(self) -> TaskStorePort:
        """Tasks to look at; role app."""
        return TaskStore(self._app_database)

    @cached_property
    def access(self) -> AccessLogPort:
        """Who read the audit; role app."""
        return AccessLog(self._app_database)

    @cached_property
    def control(self) -> PlanControl:
        """Pauses, resumes and tries again; stops many plans at once; role app."""
        size = self._settings.wave_size
        return PlanControl(self.controls, self._queue, self._clock, wave_size=size)

    @cached_property
    def controls(self) -> ControlStorePort:
        """Plans to control; role app."""
        return ControlStore(self._app_database)

    @cached_property
    def planner(self) -> PlannerService:
        """Plans plans; role app."""
        return PlannerService(
            self.plans,
            self._dispatcher(self._app_database),
            self._keeper,
            self._catalogue,
            self._clock,
            timeout_seconds=self._settings.planner_timeout_seconds,
            wave_size=self._settings.wave_size,
            max_tasks=self._settings.max_tasks_per_plan,
            max_input_bytes=self._settings.max_inputs_bytes,
        )

    @cached_property
    def replanner(self) -> ReplannerService:
        """Asks planners about what the gate sent back; role app."""
        return ReplannerService(
            ReplanStore(self._app_database),
            self._dispatcher(self._app_database),
            self._keeper,
            self._catalogue,
            self._clock,
            timeout_seconds=self._settings.planner_timeout_seconds,
            max_input_bytes=self._settings.max_inputs_bytes,
        )

    @cached_property
    def worker(self) -> WorkerService:
        """Runs batches; role worker."""
        store = WorkStore(self._database("worker_database_url"))
        limit = self._settings.max_output_bytes
        return WorkerService(
            store, self._queue, self._keeper, self._catalogue, self._clock, self.agent_slots, max_output_bytes=limit
        )

    @cached_property
    def agent_slots(self) -> AgentSlots:
        """The agents of this operating-system process."""
        return AgentSlots(process_id(), os.getpid())

    @cached_property
    def agents(self) -> AgentRegistryPort:
        """The agents of all workers."""
        return AgentRegistry(connect(str(self._app.conf.broker_url), self._app.conf.broker_transport_options))

    def drain(self) -> None:
        """Has the batches of this process end after the tasks that run; the rest of them is handed over."""
        if "worker" in vars(self):
            self.worker.drain()

    @cached_property
    def judge(self) -> Judge:
        """Gates waves; role judge."""
        return Judge(
            self._decisions,
            self._dispatcher(self._judge_database),
            self._catalogue,
            self._clock,
            Opinions(self.llm, self._clock),
        )

    # The models that a policy may name. None: whatever needs an opinion goes to a person.
    llm: Llm | None = None

    @cached_property
    def policies(self) -> PolicyService:
        """Policies to read and to try; role app."""
        return PolicyService(PolicyStore(self._app_database), self._catalogue)

    @cached_property
    def policy_changes(self) -> PolicyStorePort:
        """Policies to apply; role owner."""
        return PolicyStore(self._database("owner_database_url"))

    @cached_property
    def budgets(self) -> BudgetService:
        """Budgets to read; role app."""
        return BudgetService(BudgetStore(self._app_database), self.planner)

    @cached_property
    def budget_changes(self) -> BudgetStorePort:
        """Budgets to allow more of; role owner."""
        return BudgetStore(self._database("owner_database_url"))

    @cached_property
    def reviews(self) -> ReviewService:
        """Cards and people's decisions; roles app and judge."""
        limit = self._settings.max_output_bytes
        cards = CardStore(self._judge_database, self._sealing)
        return ReviewService(ReviewStore(self._app_database), cards, self._catalogue, max_output_bytes=limit)

    @cached_property
    def calibration(self) -> CalibrationReports:
        """What confidences are worth; role app."""
        return CalibrationReports(VerdictStore(self._app_database))

    @cached_property
    def sweep(self) -> Sweep:
        """Does what lost messages left undone; role judge."""
        dispatcher = self._dispatcher(self._judge_database)
        return Sweep(SweepStore(self._judge_database), dispatcher, self._queue, self.agents)

    @cached_property
    def checkpointer(self) -> Checkpointer:
        """Seals the audit; role judge."""
        return Checkpointer(
            CheckpointStore(self._judge_database),
            self.checkpoint_places,
            self.key_ring,
            self._clock,
            origin=self._settings.checkpoint_origin,
            interval_seconds=self._settings.checkpoint_seconds,
        )

    @cached_property
    def audit_log(self) -> AuditLogPort:
        """Audits to verify; role app."""
        return AuditLog(self._app_database)

    @cached_property
    def checkpoint_places(self) -> list[CheckpointPlace]:
        """Where checkpoints are kept; empty where there are none."""
        return [_place(named) for named in self._settings.checkpoint_places]

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys of checkpoints."""
        return KeyRing(self._settings.audit_keys, self._clock)

    def refused(self) -> dict[str, int]:
        """How many messages were refused, by reason."""
        return self._queue.refused()

    @cached_property
    def tenants(self) -> TenantStorePort:
        """Tenants; role owner."""
        return TenantStore(self._database("owner_database_url"))

    @cached_property
    def erasures(self) -> ErasureStorePort:
        """Erases a person's data; role owner."""
        return ErasureStore(self._database("owner_database_url"))

    @cached_property
    def _keeper(self) -> LeaseKeeper:
        """One for all that this process runs."""
        return LeaseKeeper()

    @cached_property
    def _queue(self) -> Queue:
        return Queue(self._app)

    @cached_property
    def _decisions(self) -> DecisionStore:
        return DecisionStore(self._judge_database, self._sealing)

    @property
    def _sealing(self) -> Sealing | None:
        if not self.checkpoint_places:
            return None
        limit = INTERVALS_UNTIL_UNAVAILABLE * self._settings.checkpoint_seconds
        return Sealing(limit, ", ".join(place.name for place in self.checkpoint_places))

    @cached_property
    def _app_database(self) -> Database:
        return self._database("app_database_url")

    @cached_property
    def _judge_database(self) -> Database:
        return self._database("judge_database_url")

    def _database(self, setting: str) -> Database:
        return Database(self._settings.require(setting), self._settings.database_pool_size)

    def _dispatcher(self, database: Database) -> Dispatcher:
        window = self._settings.wave_window
        return Dispatcher(WaveStore(database), self._queue, self.agents, self._catalogue, window=window)


def _place(named: str) -> CheckpointPlace:
    return HttpPlace(named) if named.startswith(("http://", "https://")) else FilePlace(Path(named).expanduser())


@cache
def celery_app() -> Celery:
    """The Celery app of this process.

    Raises:
        SettingsMissing: no broker is named.
    """
    app = make_app(settings())
    app.steps["consumer"].add(TenantQueues)
    app.steps["worker"].add(agents_step(_here))
    process_id()
    return app


@cache
def process_id() -> UUID:
    """The id of this process as a worker's main process; pool children inherit it, and name their agents by it."""
    return SystemClock().new_id()


@cache
def services() -> Services:
    """The services of this process."""
    return Services(celery_app(), settings(), CATALOGUE, SystemClock())


def _here() -> Here:
    slots = services().agent_slots
    return Here(
        process_id=process_id(),
        registry=services().agents,
        skills=lambda: tuple(sorted(CATALOGUE.skills)),
        running=slots.running,
        begun=slots.begun,
    )


def load_user_code() -> Catalogue:
    """The skills and planners of the modules that celeryconfig.py imports."""
    celery_app().loader.import_default_modules()
    return CATALOGUE


def migrations() -> "Migrations":
    """The schema of this process's database; role owner."""
    # Alembic takes longer to import than all the rest, and only `chimera db` and a starting stack need it.
    from chimera.adapters.postgres.migrate import Migrations

    return Migrations(settings().require("owner_database_url"))


def role_urls() -> list[str]:
    """The URLs of the roles whose logins `chimera db upgrade` sets."""
    urls = (settings().app_database_url, settings().worker_database_url, settings().judge_database_url)
    return [url.get_secret_value() for url in urls if url is not None]


# A child's connections are its own.
os.register_at_fork(after_in_child=services.cache_clear)
