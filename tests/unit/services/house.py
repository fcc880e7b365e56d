"""All services of a small installation, over the fakes; and what delivers their messages."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from uuid import UUID

from chimera.models.gate.policy import Policy
from chimera.models.gate.review import ReviewCard
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.plan import Plan, PlanRequest, PlanState
from chimera.models.work.planner import Planner
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from chimera.models.work.skill import Skill
from chimera.models.work.task import TaskSpec, TaskState
from chimera.models.work.wave import Dispatch, WaveRef
from chimera.ports.llm import Llm
from chimera.ports.plan_store import TaskResult
from chimera.services.agent_slots import AgentSlots
from chimera.services.calls import Calls, LeftBehind
from chimera.services.control import PlanControl
from chimera.services.dispatcher import Dispatcher
from chimera.services.judge import Judge
from chimera.services.lease_keeper import LeaseKeeper
from chimera.services.opinions import Opinions
from chimera.services.orchestrator import Orchestrator
from chimera.services.output_schemas import OutputSchemas
from chimera.services.planner import PlannerService
from chimera.services.planners_here import PlannerRunner
from chimera.services.replanner import ReplannerService
from chimera.services.review_service import ReviewService
from chimera.services.skills_here import SkillRunner
from chimera.services.sweep import Sweep
from chimera.services.worker import WorkerService
from tests.fakes import (
    FakeAgentRegistry,
    FakeCardStore,
    FakeClock,
    FakeControlStore,
    FakeDatabase,
    FakeDecisionStore,
    FakePlanStore,
    FakePolicyStore,
    FakeQueue,
    FakeReplanStore,
    FakeReviewStore,
    FakeSkillStore,
    FakeSweepStore,
    FakeWaveStore,
    FakeWorkStore,
)
from tests.unit.declared import as_planner, as_skill

TENANT = "acme"

T = TypeVar("T")


class House:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.database = FakeDatabase(self.clock)
        self.queue = FakeQueue()
        self.agents = FakeAgentRegistry(self.clock)
        self.catalogue = Catalogue()
        self.plans = FakePlanStore(self.database)
        self.waves = FakeWaveStore(self.database)
        self.work = FakeWorkStore(self.database)
        self.decisions = FakeDecisionStore(self.database)
        self.keeper = LeaseKeeper()
        self.calls = Calls(LeftBehind(100, lambda: None))
        self.database.add_tenant(TENANT)

    # The services, with limits as small as tests need them.

    def orchestrator(self, *, plans: FakePlanStore | None = None, max_inputs_bytes: int = 1000) -> Orchestrator:
        store = plans or self.plans
        return Orchestrator(store, self.queue, self.catalogue, self.clock, max_inputs_bytes=max_inputs_bytes)

    def control(self, wave_size: int = 3) -> PlanControl:
        return PlanControl(FakeControlStore(self.database), self.queue, self.clock, wave_size=wave_size)

    def planner(
        self,
        *,
        wave_size: int = 3,
        max_tasks: int = 20,
        max_input_bytes: int = 1000,
        timeout_seconds: float = 10.0,
        window: int = 8,
    ) -> PlannerService:
        return PlannerService(
            self.plans,
            self.dispatcher(window),
            self.keeper,
            self.catalogue,
            self.clock,
            PlannerRunner(
                self.catalogue, timeout_seconds=timeout_seconds, max_tasks=max_tasks, max_input_bytes=max_input_bytes
            ),
            timeout_seconds=timeout_seconds,
            wave_size=wave_size,
        )

    def replanner(
        self,
        *,
        catalogue: Catalogue | None = None,
        timeout_seconds: float = 10.0,
        turn_seconds: float = 5.0,
        max_input_bytes: int = 1000,
    ) -> ReplannerService:
        return ReplannerService(
            FakeReplanStore(self.database),
            self.dispatcher(),
            self.keeper,
            catalogue or self.catalogue,
            self.clock,
            PlannerRunner(
                catalogue or self.catalogue,
                timeout_seconds=timeout_seconds,
                max_tasks=1,
                max_input_bytes=max_input_bytes,
            ),
            timeout_seconds=timeout_seconds,
            turn_seconds=turn_seconds,
        )

    def dispatcher(self, window: int = 8) -> Dispatcher:
        return Dispatcher(self.waves, self.queue, self.agents, self.catalogue, window=window)

    def worker(self, *, max_output_bytes: int = 10_000) -> WorkerService:
        slots = AgentSlots(self.clock.new_id(), pid=1)
        return WorkerService(
            self.work,
            self.queue,
            self.keeper,
            self.catalogue,
            self.clock,
            slots,
            SkillRunner(self.catalogue, self.calls, max_output_bytes),
            FakeSkillStore(self.database),
            stage_for_seconds=0.5,
        )

    def judge(self, *, llm: Llm | None = None, window: int = 8) -> Judge:
        opinions = Opinions(llm, self.clock)
        # By the tests' own clock: how far a turn gets must not depend on the machine.
        seconds = lambda: self.clock.now().timestamp()  # noqa: E731
        return Judge(self.decisions, self.dispatcher(window), self.schemas(), self.clock, opinions, seconds=seconds)

    def schemas(self) -> OutputSchemas:
        return OutputSchemas(FakeSkillStore(self.database))

    def reviews(self) -> ReviewService:
        return ReviewService(FakeReviewStore(self.database), FakeCardStore(self.database), self.schemas())

    def apply(self, **fields: Any) -> None:
        """Puts a policy in force."""
        FakePolicyStore(self.database).apply(TENANT, Policy(**fields), "tests")

    def sweep(self, window: int = 8) -> Sweep:
        return Sweep(FakeSweepStore(self.database), self.dispatcher(window), self.queue, self.agents)

    # What the user of it declares and asks for.

    def skill(self, function: Callable[..., Any], **options: Any) -> Skill[..., Any]:
        skill = as_skill(function, **options)
        self.catalogue.add_skill(skill)
        return skill

    def plans_with(self, function: Callable[..., Iterable[TaskSpec]], name: str = "p") -> Planner[...]:
        planner = as_planner(function, name=name)
        self.catalogue.add_planner(planner)
        return planner

    def request(self, **fields: Any) -> PlanRequest:
        return PlanRequest(**{"tenant_id": TENANT, "planner": "p", "trace_id": "t"} | fields)

    def submit(self, **fields: Any) -> UUID:
        return self.orchestrator().submit(self.request(**fields)).plan_id

    def planned(self, *specs: TaskSpec, window: int = 8, wave_size: int = 3, **fields: Any) -> UUID:
        """A plan of these tasks, planned, with its first waves sent."""

        def these() -> Iterable[TaskSpec]:
            return specs

        self.catalogue.planners["planned"] = as_planner(these, name="planned")
        plan_id = self.submit(planner="planned", **fields)
        assert self.planner(window=window, wave_size=wave_size).plan(TENANT, plan_id) == len(specs)
        return plan_id

    # What delivers messages.

    def run_batches(self, dispatch: Dispatch) -> int:
        """A wave's batches by one worker; without the Judge that follows."""
        worker = self.worker()
        return sum(worker.run_batch(dispatch.wave, batch.task_ids, batch.timeout_seconds) for batch in dispatch.batches)

    def run_all(self) -> None:
        """Delivers what was published, and what is published thereby, until there is nothing left."""
        queue = self.queue
        while queue.plans or queue.dispatches or queue.judged or queue.dispatched or queue.stopped or queue.replans:
            for plan in taken(self.queue.plans):
                self.planner().plan(plan.tenant_id, plan.plan_id)
            for dispatch in taken(self.queue.dispatches):
                self.run_batches(dispatch)
                self.judge().judge_wave(dispatch.wave)
            for wave in taken(self.queue.judged):
                self.judge().judge_wave(wave)
            for tenant_id in taken(self.queue.dispatched):
                self.dispatcher().dispatch(tenant_id)
            for wave in taken(self.queue.replans):
                self.replanner().replan_wave(wave)
            for plan in taken(self.queue.stopped):
                self.judge().stop_plan(plan.tenant_id, plan.plan_id)

    # What is seen of it.

    def shown(self, plan_id: UUID) -> Plan:
        return self.plans.get(TENANT, plan_id)

    def state(self, plan_id: UUID) -> PlanState:
        return self.shown(plan_id).state

    def results(self, plan_id: UUID) -> list[TaskResult]:
        return self.plans.results(TENANT, plan_id, (-1, -1), 1000)

    def states(self, plan_id: UUID) -> list[TaskState]:
        return [result.state for result in self.results(plan_id)]

    def outcomes(self, plan_id: UUID) -> list[SuccessOutcome | FailureOutcome | None]:
        return [result.outcome for result in self.results(plan_id)]

    def cards(self) -> list[ReviewCard]:
        return self.reviews().cards(TENANT)

    def wave(self, plan_id: UUID, wave_no: int = 0) -> WaveRef:
        return WaveRef(tenant_id=TENANT, plan_id=plan_id, wave_no=wave_no)


def taken(messages: list[T]) -> list[T]:
    """The messages, which are then no longer in their list."""
    taken = messages.copy()
    messages.clear()
    return taken
