"""What the services use of the outside world: each adapter by the role whose credentials it connects with."""

from functools import cached_property

from celery import Celery

from chimera.adapters.celery.queue import Queue
from chimera.adapters.celery.tenant_queue import TenantQueue
from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.sealing import Sealing
from chimera.adapters.postgres.stores.access_log import AccessLog
from chimera.adapters.postgres.stores.audit_log import AuditLog
from chimera.adapters.postgres.stores.budget_store import BudgetStore
from chimera.adapters.postgres.stores.card_store import CardStore
from chimera.adapters.postgres.stores.control_store import ControlStore
from chimera.adapters.postgres.stores.credential_store import CredentialStore
from chimera.adapters.postgres.stores.decision_store import DecisionStore
from chimera.adapters.postgres.stores.erasure_store import ErasureStore
from chimera.adapters.postgres.stores.export_store import ExportStore
from chimera.adapters.postgres.stores.id_store import IdStore
from chimera.adapters.postgres.stores.plan_store import PlanStore
from chimera.adapters.postgres.stores.policy_store import PolicyStore
from chimera.adapters.postgres.stores.repair_store import RepairStore
from chimera.adapters.postgres.stores.replan_store import ReplanStore
from chimera.adapters.postgres.stores.review_store import ReviewStore
from chimera.adapters.postgres.stores.session_store import SessionStore
from chimera.adapters.postgres.stores.skill_store import SkillStore
from chimera.adapters.postgres.stores.skill_waits import SkillWaits
from chimera.adapters.postgres.stores.state_store import StateStore
from chimera.adapters.postgres.stores.sweep_store import SweepStore
from chimera.adapters.postgres.stores.task_store import TaskStore
from chimera.adapters.postgres.stores.tenant_store import TenantStore
from chimera.adapters.postgres.stores.verdict_store import VerdictStore
from chimera.adapters.postgres.stores.wave_store import WaveStore
from chimera.adapters.postgres.stores.work_store import WorkStore
from chimera.adapters.redis.connection import connect
from chimera.adapters.redis.every_registry import EveryRegistry, own_registry
from chimera.ports import (
    agent_registry,
    audit_log,
    budget_store,
    card_store,
    control_store,
    credential_store,
    decision_store,
    export_store,
    id_store,
    plan_store,
    policy_store,
    queue,
    replan_store,
    review_store,
    session_store,
    skill_store,
    skill_waits,
    sweep_store,
    task_store,
    verdict_store,
    wave_store,
    work_store,
)
from chimera.ports.clock import Clock
from chimera.ports.llm import Llm
from chimera.settings import Settings


class Adapters:
    """Every adapter, made when it is first used: a process needs the credentials of those it uses only."""

    # The models that a policy may name. None: whatever needs an opinion goes to a person.
    llm: Llm | None = None

    def __init__(self, app: Celery, settings: Settings, clock: Clock) -> None:
        self._app = app
        self._settings = settings
        self._clock = clock

    # The broker.

    @cached_property
    def queue(self) -> queue.Queue:
        """The way to the workers."""
        return TenantQueue(self._app) if self._settings.bound_tenant else Queue(self._app)

    @cached_property
    def agents(self) -> agent_registry.AgentRegistry:
        """The agents of all workers; of the tenant's own in a process that has that tenant's login."""
        client = connect(str(self._app.conf.broker_url), self._app.conf.broker_transport_options)
        if tenant := self._settings.bound_tenant:
            return own_registry(client, tenant)
        return EveryRegistry(client, self.queue.bound)

    # PostgreSQL, in the role app.

    @cached_property
    def plans(self) -> plan_store.PlanStore:
        """Plans to submit, to plan and to read."""
        return PlanStore(self._as_app)

    @cached_property
    def controls(self) -> control_store.ControlStore:
        """Plans to stop, to pause and to try again."""
        return ControlStore(self._as_app)

    @cached_property
    def sessions(self) -> session_store.SessionStore:
        """Sessions of plans."""
        return SessionStore(self._as_app)

    @cached_property
    def replans(self) -> replan_store.ReplanStore:
        """Tasks that wait for their planner."""
        return ReplanStore(self._as_app)

    @cached_property
    def waves(self) -> wave_store.WaveStore:
        """Waves that a planner sends."""
        return WaveStore(self._as_app)

    @cached_property
    def policies(self) -> policy_store.PolicyStore:
        """Policies to read."""
        return PolicyStore(self._as_app)

    @cached_property
    def budgets(self) -> budget_store.BudgetStore:
        """Budgets to read."""
        return BudgetStore(self._as_app)

    @cached_property
    def reviews(self) -> review_store.ReviewStore:
        """Cards to read and to claim."""
        return ReviewStore(self._as_app)

    @cached_property
    def verdicts(self) -> verdict_store.VerdictStore:
        """What people decided, by confidence."""
        return VerdictStore(self._as_app)

    @cached_property
    def audit_log(self) -> audit_log.AuditLog:
        """Audits to verify."""
        return AuditLog(self._as_app)

    @cached_property
    def exports(self) -> export_store.ExportStore:
        """Exports to have sealed."""
        return ExportStore(self._as_app)

    @cached_property
    def tasks(self) -> task_store.TaskStore:
        """Tasks to look at."""
        return TaskStore(self._as_app)

    @cached_property
    def ids(self) -> id_store.IdStore:
        """What short ids mean."""
        return IdStore(self._as_app)

    @cached_property
    def skills(self) -> skill_store.SkillStore:
        """The skills and planners that workers have declared."""
        return SkillStore(self._as_app)

    @cached_property
    def waits(self) -> skill_waits.SkillWaits:
        """What of a plan waits for a skill."""
        return SkillWaits(self._as_app)

    @cached_property
    def access(self) -> AccessLog:
        """Who read the audit."""
        return AccessLog(self._as_app)

    @cached_property
    def states(self) -> StateStore:
        """Shared state to read."""
        return StateStore(self._as_app)

    # PostgreSQL, in the role worker.

    @cached_property
    def work(self) -> work_store.WorkStore:
        """Tasks to claim, and results to stage."""
        return WorkStore(self._as_worker)

    @cached_property
    def skills_of_worker(self) -> skill_store.SkillStore:
        """Skills to declare."""
        return SkillStore(self._as_worker)

    # PostgreSQL, in the role judge.

    @cached_property
    def decisions(self) -> decision_store.DecisionStore:
        """Waves to gate."""
        return DecisionStore(self._as_judge, self._sealing)

    @cached_property
    def skills_of_judge(self) -> skill_store.SkillStore:
        """The schemas that outputs are checked against."""
        return SkillStore(self._as_judge)

    @cached_property
    def judged_waves(self) -> wave_store.WaveStore:
        """Waves that the Judge and the sweep send."""
        return WaveStore(self._as_judge)

    @cached_property
    def sweeps(self) -> sweep_store.SweepStore:
        """What lost messages left undone."""
        return SweepStore(self._as_judge)

    @cached_property
    def all_waits(self) -> skill_waits.SkillWaits:
        """What of all tenants waits for a skill."""
        return SkillWaits(self._as_judge)

    # PostgreSQL, in the role review.

    @cached_property
    def cards(self) -> card_store.CardStore:
        """People's decisions on cards."""
        return CardStore(self._database("review_database_url"), self._sealing)

    # PostgreSQL, in the role owner.

    @cached_property
    def policy_changes(self) -> policy_store.PolicyStore:
        """Policies to apply."""
        return PolicyStore(self._as_owner)

    @cached_property
    def budget_changes(self) -> budget_store.BudgetStore:
        """Budgets to allow more of."""
        return BudgetStore(self._as_owner)

    @cached_property
    def tenants(self) -> TenantStore:
        """Tenants."""
        return TenantStore(self._as_owner)

    @cached_property
    def credentials(self) -> credential_store.CredentialStore:
        """Logins that are one tenant's."""
        return CredentialStore(self._as_owner)

    @cached_property
    def erasures(self) -> ErasureStore:
        """A person's data to erase."""
        return ErasureStore(self._as_owner, self._sealing)

    @cached_property
    def repairs(self) -> RepairStore:
        """Audits to repair."""
        return RepairStore(self._as_owner)

    @property
    def _sealing(self) -> Sealing | None:
        limit = self._settings.sealing_limit_seconds
        return None if limit is None else Sealing(limit)

    @cached_property
    def _as_app(self) -> Database:
        return self._database("app_database_url", is_alone=self._settings.isolation == "host")

    @cached_property
    def _as_worker(self) -> Database:
        return self._database("worker_database_url", is_alone=self._settings.isolation == "host")

    @cached_property
    def _as_judge(self) -> Database:
        return self._database("judge_database_url", is_alone=True)

    @cached_property
    def _as_owner(self) -> Database:
        return self._database("owner_database_url")

    def _database(self, setting: str, *, is_alone: bool = False) -> Database:
        url, size = self._settings.require(setting), self._settings.database_pool_size
        return Database(url, size, self._settings.isolation, is_alone=is_alone)
