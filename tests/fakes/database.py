"""What the fake stores share: rows in memory, and the rules that more than one of them applies."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from chimera.errors import CardNotFound, PlanNotFound, StoreUnavailable, UnknownTenant
from chimera.models.audit.access import Refusals, counted, refused_event
from chimera.models.audit.audit import AuditEntry, AuditEvent, chain
from chimera.models.audit.kinds import AuditKind
from chimera.models.budget.budget import NOTHING, Account, Sum
from chimera.models.gate.deciding import ERASED_RULE
from chimera.models.gate.floor import raised
from chimera.models.gate.policy import BUILT_IN, PolicyInForce
from chimera.models.gate.review import CardStatus, ReviewCard, Revision
from chimera.models.ids import IdKind, format_id
from chimera.models.work.bound import BoundTenant
from chimera.models.work.decision import Decision
from chimera.models.work.declaration import StoredPlanner, StoredSkill
from chimera.models.work.history import LateResult
from chimera.models.work.plan import PlanFailure, PlanRequest, PlanState
from chimera.models.work.replan import ReplanState
from chimera.models.work.result import Result
from chimera.models.work.session import SessionEntered, SessionState
from chimera.models.work.state import StateEntry
from chimera.models.work.task import Task, TaskState
from chimera.models.work.timing import LEASE_GRACE_SECONDS
from chimera.models.work.wave import WaveRef, WaveState
from tests.fakes.clock import FakeClock

LONG_AGO = datetime.min.replace(tzinfo=UTC)
# Tasks that the Judge has not seen: while there is one, its wave is not closed.
UNSEEN = frozenset({TaskState.QUEUED, TaskState.RUNNING, TaskState.STAGED})


@dataclass
class Lease:
    token: UUID
    until: datetime


@dataclass
class SessionRow:
    opened_at: datetime
    opened_by: str
    state: SessionState = SessionState.OPEN
    changed_at: datetime | None = None
    changed_by: str | None = None


@dataclass
class PlanRow:
    plan_id: UUID
    request: PlanRequest
    first_audit_seq: int
    submitted_at: datetime
    state: PlanState = PlanState.SUBMITTED
    stop_state: PlanState | None = None
    failure: PlanFailure | None = None
    task_count: int = 0
    planner_attempt: int = 0
    lease: Lease | None = None
    published_at: datetime | None = None
    epoch: str | None = None
    finished_at: datetime | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None
    retry_of: UUID | None = None
    has_replan: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether tasks of it may start."""
        return self.state in {PlanState.RUNNING, PlanState.IN_REVIEW} and self.paused_at is None


@dataclass
class WaveRow:
    ref: WaveRef
    priority: int
    has_dependencies: bool
    touched_at: datetime
    state: WaveState = WaveState.WAITING
    published_at: datetime | None = None
    publish_count: int = 0
    epoch: str | None = None
    replan_at: datetime | None = None
    # Tasks of it wait for what others leave of a budget.
    budget_waits: bool = False
    # Since when tasks of it wait for an agent that has their skill.
    skill_waits_since: datetime | None = None

    @property
    def waits_for_skill(self) -> bool:
        """Whether tasks of it wait for an agent that has their skill."""
        return self.skill_waits_since is not None


@dataclass
class TaskRow:
    task: Task
    created_at: datetime
    state: TaskState = TaskState.QUEUED
    attempt: int = 0
    # When an agent first took it, and when it ended.
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lost: int = 0
    agent_id: UUID | None = None
    lease: Lease | None = None
    state_version: int | None = None
    # The attempt that this is set aside for, and the day that it is set aside of.
    reserved_for: int | None = None
    reserved: Sum = NOTHING
    reserved_on: date | None = None
    spent: Sum = NOTHING
    over_budget: str | None = None
    degraded_from: str | None = None
    feedback: str | None = None
    replans: int = 0
    replan: ReplanState | None = None
    replan_tries: int = 0
    replan_failure: str | None = None
    # What attempts up to these were made from, where the task was changed after them.
    earlier: dict[int, Task] = field(default_factory=dict)

    def made_from(self, attempt: int) -> Task:
        """The task as this attempt ran it."""
        later = [number for number in self.earlier if number >= attempt]
        return self.earlier[min(later)] if later else self.task

    @property
    def waits(self) -> bool:
        """Whether it waits for an agent."""
        return self.state is TaskState.QUEUED and self.replan is None and self.over_budget is None

    @property
    def is_refused(self) -> bool:
        """Whether it waits for the Judge to deny it, because a budget has nothing left for it."""
        return self.state is TaskState.QUEUED and self.over_budget is not None

    @property
    def is_asked(self) -> bool:
        """Whether it waits for its planner."""
        return self.state is TaskState.QUEUED and self.replan is ReplanState.ASKED

    @property
    def is_given_up(self) -> bool:
        """Whether it waits for the Judge to end it."""
        return self.state is TaskState.QUEUED and self.replan in {ReplanState.GIVEN_UP, ReplanState.FAILED}

    @property
    def runs_alone(self) -> bool:
        return self.lost > 0 or 0 < self.attempt == self.task.max_attempts - 1


@dataclass
class AppliedPolicy:
    policy: PolicyInForce
    at: datetime
    by: str


@dataclass
class BudgetRow:
    account: Account = field(default_factory=Account)
    allowed: Sum = NOTHING
    allowed_at: datetime | None = None


@dataclass
class FakeDatabase:
    """The rows of all tenants, by tenant and id."""

    clock: FakeClock
    # False is a server that does not answer.
    available: bool = True
    tenants: set[str] = field(default_factory=set)
    audit: dict[str, list[AuditEntry]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[tuple[str, str], SessionRow] = field(default_factory=dict)
    plans: dict[tuple[str, UUID], PlanRow] = field(default_factory=dict)
    waves: dict[WaveRef, WaveRow] = field(default_factory=dict)
    tasks: dict[tuple[str, UUID], TaskRow] = field(default_factory=dict)
    results: dict[tuple[str, UUID, int], Result] = field(default_factory=dict)
    # Results that came after their lease was over, by tenant, task and lease.
    stale: dict[tuple[str, UUID, UUID], Result] = field(default_factory=dict)
    # The same as who looks at a task sees them.
    late: dict[tuple[str, UUID], list[LateResult]] = field(default_factory=lambda: defaultdict(list))
    # When attempts were taken and by whom, and when they were lost, by tenant, task and attempt.
    taken: dict[tuple[str, UUID, int], tuple[UUID, datetime]] = field(default_factory=dict)
    lost: dict[tuple[str, UUID, int], datetime] = field(default_factory=dict)
    # Who staged a result, by tenant, task and attempt.
    staged_by: dict[tuple[str, UUID, int], UUID] = field(default_factory=dict)
    cards: dict[tuple[str, UUID], ReviewCard] = field(default_factory=dict)
    # What cards show beside the agent's result, by tenant and card, and who approved which version of it.
    revisions: dict[tuple[str, UUID], list[Revision]] = field(default_factory=lambda: defaultdict(list))
    approvals: dict[tuple[str, UUID, bytes], list[str]] = field(default_factory=lambda: defaultdict(list))
    final: dict[tuple[str, UUID], Decision] = field(default_factory=dict)
    # Every version of every entry of shared state, the latest last.
    state: dict[tuple[str, str], list[StateEntry]] = field(default_factory=dict)
    # Every decision, final or not, in order.
    decided: list[tuple[WaveRef, Decision]] = field(default_factory=list)
    # By tenant, and "*" for all; the latest last.
    policies: dict[str, list[AppliedPolicy]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, Refusals] = field(default_factory=dict)

    # Those with logins of their own.
    bound_tenants: list[BoundTenant] = field(default_factory=list)

    # What workers have declared, by name and fingerprint.
    skills: dict[tuple[str, bytes], StoredSkill] = field(default_factory=dict)
    planners: dict[tuple[str, bytes], StoredPlanner] = field(default_factory=dict)

    # By tenant, and day or plan.
    budgets: dict[tuple[str, date | UUID], BudgetRow] = field(default_factory=dict)

    def opened(self) -> "FakeDatabase":
        """Itself, as each method of a store asks for it first."""
        if not self.available:
            raise StoreUnavailable
        return self

    def now(self) -> datetime:
        return self.clock.now()

    def policy(self, tenant_id: str) -> PolicyInForce:
        """What applies to the tenant."""
        default = self.policies["*"][-1].policy if self.policies["*"] else BUILT_IN
        own = self.policies[tenant_id] if tenant_id != "*" else []
        return raised(own[-1].policy if own else default, default, tenant_id)

    def may_run_code(self, tenant_id: str, isolation: str) -> bool:
        """Whether a process at this level may run the tenant's skills and planners."""
        return isolation != "trusted" or not self.policy(tenant_id).isolated

    def enter(self, tenant_id: str, session_id: str | None, actor: str) -> SessionEntered | None:
        """The session that a plan is about to be stored in, made where there is none."""
        if session_id is None:
            return None
        opened = (tenant_id, session_id) not in self.sessions
        if opened:
            self.sessions[tenant_id, session_id] = SessionRow(self.now(), actor)
            self.record(
                tenant_id, [AuditEvent(kind=AuditKind.SESSION_OPENED, actor=actor, facts={"session_id": session_id})]
            )
        row = self.sessions[tenant_id, session_id]
        entered = SessionEntered(session_id=session_id, state=row.state, changed_by=row.changed_by, opened=opened)
        entered.require_open()
        return entered

    def hold_back(self, row: "PlanRow", session: SessionEntered | None) -> bool:
        """Pauses a new plan where its session is; returns whether it is."""
        if session is None or session.pauses is None:
            return False
        row.paused_at, row.paused_by = self.now(), session.pauses
        facts = {"session_id": session.session_id}
        event = AuditEvent(kind=AuditKind.PLAN_PAUSED, actor=session.pauses, plan_id=row.plan_id, facts=facts)
        self.record(row.request.tenant_id, [event])
        return True

    def plan(self, tenant_id: str, plan_id: UUID) -> PlanRow:
        return self.plans[tenant_id, plan_id]

    def asked_plan(self, tenant_id: str, plan_id: UUID, to: str = "read", actor: str = "app") -> PlanRow:
        """The plan that somebody asks for; where the tenant has none, that goes on record."""
        if (tenant_id, plan_id) not in self.plans:
            self.refuse(tenant_id, refused_event(actor, format_id(IdKind.PLAN, plan_id), to))
            raise PlanNotFound
        return self.plan(tenant_id, plan_id)

    def asked_card(self, tenant_id: str, card_id: UUID, to: str = "read", actor: str = "app") -> ReviewCard:
        """The card that somebody asks for; where the tenant has none, that goes on record."""
        if (tenant_id, card_id) not in self.cards:
            self.refuse(tenant_id, refused_event(actor, format_id(IdKind.CARD, card_id), to))
            raise CardNotFound
        return self.cards[tenant_id, card_id]

    def refuse(self, tenant_id: str, event: AuditEvent) -> None:
        if tenant_id in self.tenants:
            self.refusals[tenant_id], events = counted(self.refusals.get(tenant_id), self.now(), event)
            self.record(tenant_id, events)

    def wave_tasks(self, wave: WaveRef) -> list[TaskRow]:
        """In the plan's order."""
        place = (wave.tenant_id, wave.plan_id, wave.wave_no)
        rows = [row for row in self.tasks.values() if place == (row.task.tenant_id, row.task.plan_id, row.task.wave_no)]
        return sorted(rows, key=lambda row: row.task.ordinal)

    def plan_waves(self, tenant_id: str, plan_id: UUID) -> list[WaveRow]:
        rows = [row for row in self.waves.values() if (row.ref.tenant_id, row.ref.plan_id) == (tenant_id, plan_id)]
        return sorted(rows, key=lambda row: row.ref.wave_no)

    def shared(self, tenant_id: str, key: str | None) -> StateEntry | None:
        """An entry of shared state as it is now."""
        versions = [] if key is None else self.state.get((tenant_id, key), [])
        return versions[-1] if versions else None

    def card_of(self, row: TaskRow) -> ReviewCard | None:
        """The card of the task's present attempt."""
        place = (row.task.tenant_id, row.task.task_id, row.attempt)
        cards = (card for card in self.cards.values() if (card.tenant_id, card.task_id, card.attempt) == place)
        return next(cards, None)

    def erasure_reason(self, card: ReviewCard) -> str | None:
        """Why it was erased, of a card that this closed."""
        final = self.final.get((card.tenant_id, card.task_id))
        reasons = final.ruling.reasons if final is not None and final.attempt == card.attempt else ()
        return next((str(reason.value) for reason in reasons if reason.rule == ERASED_RULE), None)

    def shown(self, row: TaskRow) -> str | None:
        """The JSON text of the task's outcome; a person's version of it where that waits or is committed."""
        result = self.results.get((row.task.tenant_id, row.task.task_id, row.attempt))
        card = self.card_of(row)
        if card is not None and card.revision and card.status in {CardStatus.PENDING, CardStatus.EDITED}:
            return card.outcome
        return result.outcome if result else None

    def agent_of(self, row: TaskRow) -> UUID | None:
        """Who ran the task's present attempt; while it waits, only who staged a result of it is known."""
        if row.state is not TaskState.QUEUED:
            return row.agent_id
        return self.staged_by.get((row.task.tenant_id, row.task.task_id, row.attempt))

    def add_tenant(self, tenant_id: str) -> None:
        """Adds a tenant and its audit's first entry."""
        self.tenants.add(tenant_id)
        self.record(tenant_id, [AuditEvent(kind=AuditKind.TENANT_ADDED, actor="tests", facts={})])

    def record(self, tenant_id: str, events: Sequence[AuditEvent]) -> None:
        """Adds to the tenant's audit."""
        if tenant_id not in self.tenants:
            raise UnknownTenant
        entries = self.audit[tenant_id]
        head = entries[-1].hash if entries else bytes(32)
        entries += chain(tenant_id, len(entries), head, self.now(), events)

    def lose(self, row: TaskRow) -> None:
        """Counts and keeps that the task's present attempt is lost."""
        row.lost += 1
        self.lost[row.task.tenant_id, row.task.task_id, row.attempt] = self.now()

    def is_lost(self, lease: Lease | None) -> bool:
        """Whether the lease's time has run out."""
        return lease is not None and lease.until < self.now()

    def is_given_up(self, lease: Lease | None) -> bool:
        """Whether it ran out so long ago that it will not be renewed any more."""
        return lease is not None and (
            lease.until == LONG_AGO or lease.until < self.now() - timedelta(seconds=LEASE_GRACE_SECONDS)
        )

    def unmet(self, task: Task) -> tuple[UUID, ...]:
        """The tasks that it depends on and that were not approved, in no order."""
        states = {other: self.tasks[task.tenant_id, other].state for other in task.depends_on}
        return tuple(other for other, state in states.items() if state is not TaskState.APPROVED)

    def may_run(self, task: Task) -> bool:
        """Whether every task that it depends on has its final decision."""
        undecided = UNSEEN | {TaskState.IN_REVIEW}
        return all(self.tasks[task.tenant_id, other].state not in undecided for other in task.depends_on)
