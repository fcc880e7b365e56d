"""The same ports twice: in memory, and over PostgreSQL; with what only a test may do to time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.access_log import AccessLog
from chimera.adapters.postgres.stores.budget_store import BudgetStore
from chimera.adapters.postgres.stores.card_store import CardStore
from chimera.adapters.postgres.stores.checkpoint_store import CheckpointStore
from chimera.adapters.postgres.stores.control_store import ControlStore
from chimera.adapters.postgres.stores.credential_store import CredentialStore
from chimera.adapters.postgres.stores.decision_store import DecisionStore
from chimera.adapters.postgres.stores.erasure_store import ErasureStore
from chimera.adapters.postgres.stores.export_store import ExportStore
from chimera.adapters.postgres.stores.id_store import IdStore
from chimera.adapters.postgres.stores.plan_store import PlanStore
from chimera.adapters.postgres.stores.policy_store import PolicyStore
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
from chimera.adapters.system_clock import SystemClock
from chimera.models.audit.erasure import Erasure
from chimera.models.work.decision import Verdict
from chimera.models.work.wave import WaveRef
from chimera.ports import (
    budget_store,
    card_store,
    checkpoint_store,
    clock,
    control_store,
    credential_store,
    decision_store,
    export_store,
    id_store,
    plan_store,
    policy_store,
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
from tests.fakes import (
    FakeBudgetStore,
    FakeCardStore,
    FakeCheckpointStore,
    FakeClock,
    FakeControlStore,
    FakeCredentialStore,
    FakeDatabase,
    FakeDecisionStore,
    FakeErasures,
    FakeExportStore,
    FakeIdStore,
    FakePlanStore,
    FakePolicyStore,
    FakeReplanStore,
    FakeReviewStore,
    FakeSessionStore,
    FakeSkillStore,
    FakeSkillWaits,
    FakeSweepStore,
    FakeTaskStore,
    FakeVerdictStore,
    FakeWaveStore,
    FakeWorkStore,
)


@dataclass
class World(ABC):
    """Every store, each in the role that it is written for."""

    clock: clock.Clock
    plans: plan_store.PlanStore
    control: control_store.ControlStore
    waves: wave_store.WaveStore
    waves_of_judge: wave_store.WaveStore
    work: work_store.WorkStore
    decisions: decision_store.DecisionStore
    cards: card_store.CardStore
    reviews: review_store.ReviewStore
    sweep: sweep_store.SweepStore
    verdicts: verdict_store.VerdictStore
    policies: policy_store.PolicyStore
    policy_changes: policy_store.PolicyStore
    replans: replan_store.ReplanStore
    tasks: task_store.TaskStore
    sessions: session_store.SessionStore
    ids: id_store.IdStore
    checkpoints: checkpoint_store.CheckpointStore
    exports: export_store.ExportStore
    exports_to_seal: export_store.ExportStore
    credentials: credential_store.CredentialStore
    budgets: budget_store.BudgetStore
    budget_changes: budget_store.BudgetStore
    declaring: skill_store.SkillStore
    skills: skill_store.SkillStore
    waits: skill_waits.SkillWaits
    all_waits: skill_waits.SkillWaits

    @abstractmethod
    def add_tenant(self, tenant_id: str) -> None:
        """Adds a tenant and its audit's first entry."""

    @abstractmethod
    def pass_time(self, tenant_id: str, seconds: float) -> None:
        """Makes everything that the tenant has older by so much."""

    @abstractmethod
    def pass_midnight(self, tenant_id: str) -> None:
        """Makes of the tenant's today a yesterday."""

    @abstractmethod
    def shared_state(self, tenant_id: str, key: str) -> tuple[Any, int] | None:
        """An entry of shared state: value and version."""

    @abstractmethod
    def is_sent(self, wave: WaveRef) -> bool:
        """Whether the wave's messages count as sent."""

    @abstractmethod
    def committed(self, tenant_id: str) -> set[UUID]:
        """The tasks whose result is committed."""

    @abstractmethod
    def erase(self, erasure: Erasure) -> None:
        """Erases contents; in memory those of review cards only."""

    @abstractmethod
    def forget_default_policy(self) -> None:
        """Makes the default what is built in, as where nobody applied one: it is all tenants', and other tests' too."""


class FakeWorld(World):
    def __init__(self) -> None:
        time = FakeClock()
        self.database = FakeDatabase(time)
        self.time = time
        exports = FakeExportStore(self.database)
        super().__init__(
            clock=time,
            plans=FakePlanStore(self.database),
            control=FakeControlStore(self.database),
            waves=FakeWaveStore(self.database),
            waves_of_judge=FakeWaveStore(self.database),
            work=FakeWorkStore(self.database),
            decisions=FakeDecisionStore(self.database),
            cards=FakeCardStore(self.database),
            reviews=FakeReviewStore(self.database),
            sweep=FakeSweepStore(self.database),
            verdicts=FakeVerdictStore(self.database),
            policies=FakePolicyStore(self.database),
            policy_changes=FakePolicyStore(self.database),
            replans=FakeReplanStore(self.database),
            tasks=FakeTaskStore(self.database),
            sessions=FakeSessionStore(self.database),
            ids=FakeIdStore(self.database),
            checkpoints=FakeCheckpointStore(self.database),
            exports=exports,
            exports_to_seal=exports,
            credentials=FakeCredentialStore(self.database),
            budgets=FakeBudgetStore(self.database),
            budget_changes=FakeBudgetStore(self.database),
            declaring=FakeSkillStore(self.database),
            skills=FakeSkillStore(self.database),
            waits=FakeSkillWaits(self.database),
            all_waits=FakeSkillWaits(self.database),
        )

    def add_tenant(self, tenant_id: str) -> None:
        self.database.add_tenant(tenant_id)

    def pass_time(self, tenant_id: str, seconds: float) -> None:
        self.time.advance(seconds)

    def pass_midnight(self, tenant_id: str) -> None:
        self.time.advance(86400)

    def shared_state(self, tenant_id: str, key: str) -> tuple[Any, int] | None:
        shared = self.database.shared(tenant_id, key)
        return (shared.value, shared.version) if shared else None

    def is_sent(self, wave: WaveRef) -> bool:
        return self.database.waves[wave].published_at is not None

    def committed(self, tenant_id: str) -> set[UUID]:
        final = self.database.final.items()
        return {
            task_id
            for (owner, task_id), decision in final
            if owner == tenant_id and decision.ruling.verdict is Verdict.APPROVE
        }

    def erase(self, erasure: Erasure) -> None:
        FakeErasures(self.database).erase_cards(erasure)

    def forget_default_policy(self) -> None:
        self.database.policies["*"].clear()


# The database's clock cannot be set: what is compared with it is moved back instead. The owner's statements
# are under row-level security like all others, and so move one tenant's rows only.
_OLDER = (
    """
    update plan set submitted_at = submitted_at - %(by)s, published_at = published_at - %(by)s,
                    lease_until = lease_until - %(by)s, deadline = deadline - %(by)s
    """,
    """
    update wave set touched_at = touched_at - %(by)s, published_at = published_at - %(by)s,
                    replan_at = replan_at - %(by)s, skill_waits_since = skill_waits_since - %(by)s
    """,
    "update task set lease_until = lease_until - %(by)s where lease_until is not null",
    "update review_card set claim_expires_at = claim_expires_at - %(by)s where claim_expires_at is not null",
    "update refusal set since = since - %(by)s",
    "update audit_export set asked_at = asked_at - %(by)s",
)


_YESTERDAY = (
    "update plan set paused_at = paused_at - interval '1 day' where paused_at is not null",
    "update task set reserved_on = reserved_on - 1 where reserved_on is not null",
    "update budget set account = 'day:' || (substr(account, 5)::date - 1)::text where account like 'day:%'",
    "update budget set allowed_at = allowed_at - interval '1 day'",
)


class PostgresWorld(World):
    def __init__(
        self, owner: Database, app: Database, worker: Database, judge: Database, seal: Database, review: Database
    ) -> None:
        self._owner = owner
        # What has no port: nothing but the command line uses it.
        self.tenants = TenantStore(owner)
        self.states = StateStore(app)
        self.access = AccessLog(app)
        self.erasures = ErasureStore(owner)
        super().__init__(
            clock=SystemClock(),
            plans=PlanStore(app),
            control=ControlStore(app),
            waves=WaveStore(app),
            waves_of_judge=WaveStore(judge),
            work=WorkStore(worker),
            decisions=DecisionStore(judge),
            cards=CardStore(review),
            reviews=ReviewStore(app),
            sweep=SweepStore(judge),
            verdicts=VerdictStore(app),
            policies=PolicyStore(app),
            policy_changes=PolicyStore(owner),
            replans=ReplanStore(app),
            tasks=TaskStore(app),
            sessions=SessionStore(app),
            ids=IdStore(app),
            checkpoints=CheckpointStore(seal),
            exports=ExportStore(app),
            exports_to_seal=ExportStore(seal),
            credentials=CredentialStore(owner),
            budgets=BudgetStore(app),
            budget_changes=BudgetStore(owner),
            declaring=SkillStore(worker),
            skills=SkillStore(app),
            waits=SkillWaits(app),
            all_waits=SkillWaits(judge),
        )

    def add_tenant(self, tenant_id: str) -> None:
        self.tenants.add(tenant_id, "tests")

    def pass_time(self, tenant_id: str, seconds: float) -> None:
        with self._owner.transaction(tenant_id) as connection:
            for statement in _OLDER:
                connection.execute(statement.replace("%(by)s", "make_interval(secs => %(by)s)"), {"by": seconds})

    def pass_midnight(self, tenant_id: str) -> None:
        with self._owner.transaction(tenant_id) as connection:
            for statement in _YESTERDAY:
                connection.execute(statement)

    def shared_state(self, tenant_id: str, key: str) -> tuple[Any, int] | None:
        with self._owner.transaction(tenant_id) as connection:
            row = connection.execute("select value, version from state where key = %s", [key]).fetchone()
        return (row["value"], row["version"]) if row else None

    def is_sent(self, wave: WaveRef) -> bool:
        with self._owner.transaction(wave.tenant_id) as connection:
            sql = "select published_at from wave where plan_id = %s and wave_no = %s"
            row = connection.execute(sql, [wave.plan_id, wave.wave_no]).fetchone()
        assert row is not None
        return row["published_at"] is not None

    def committed(self, tenant_id: str) -> set[UUID]:
        with self._owner.transaction(tenant_id) as connection:
            return {row["task_id"] for row in connection.execute("select task_id from commit")}

    def erase(self, erasure: Erasure) -> None:
        self.erasures.erase(erasure)

    def forget_default_policy(self) -> None:
        with self._owner.transaction("*") as connection:
            connection.execute("alter table policy disable trigger policy_append_only")
            connection.execute("delete from policy where tenant_id = '*'")
            connection.execute("alter table policy enable trigger policy_append_only")


def stores(world: World) -> PostgresWorld:
    """The stores in PostgreSQL that have no port, and so no fake."""
    assert isinstance(world, PostgresWorld)
    return world
