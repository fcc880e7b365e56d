"""A whole swarm in memory: what is published is done at once, in this thread."""

from functools import cached_property
from typing import Any
from uuid import UUID

from chimera.bootstrap import Services
from chimera.models.work.skill import Catalogue
from chimera.models.work.wave import Dispatch, WaveRef
from chimera.services.budget_service import BudgetService
from chimera.services.calibration_report import CalibrationReports
from chimera.services.dispatcher import Dispatcher
from chimera.services.policy_service import PolicyService
from chimera.services.replanner import ReplannerService
from chimera.services.review_service import ReviewService
from chimera.services.worker import WorkerService
from chimera.settings import Settings
from tests.fakes import (
    FakeAccessLog,
    FakeAgentRegistry,
    FakeBudgetStore,
    FakeCardStore,
    FakeClock,
    FakeControlStore,
    FakeDatabase,
    FakeDecisionStore,
    FakeErasureStore,
    FakePlanStore,
    FakePolicyStore,
    FakeQueue,
    FakeReplanStore,
    FakeReviewStore,
    FakeStateStore,
    FakeTaskStore,
    FakeTenantStore,
    FakeVerdictStore,
    FakeWaveStore,
    FakeWorkStore,
)


class InlineQueue(FakeQueue):
    def __init__(self, services: "FakeServices") -> None:
        super().__init__()
        self._services = services

    def publish_plan(self, tenant_id: str, plan_id: UUID) -> None:
        super().publish_plan(tenant_id, plan_id)
        self._services.planner.plan(tenant_id, plan_id)

    def publish_replan(self, wave: WaveRef) -> None:
        super().publish_replan(wave)
        self._services.replanner.replan_wave(wave)

    def publish_wave(self, dispatch: Dispatch) -> None:
        super().publish_wave(dispatch)
        for batch in dispatch.batches:
            self._services.worker.run_batch(dispatch.wave, batch.task_ids, batch.timeout_seconds)
        self._services.judge.judge_wave(dispatch.wave)

    def publish_judge(self, wave: WaveRef) -> None:
        super().publish_judge(wave)
        self._services.judge.judge_wave(wave)

    def publish_stop(self, tenant_id: str, plan_id: UUID) -> None:
        super().publish_stop(tenant_id, plan_id)
        self._services.judge.stop_plan(tenant_id, plan_id)


class FakeServices(Services):
    """The services over the ports in memory."""

    def __init__(self, catalogue: Catalogue) -> None:
        clock = FakeClock()
        super().__init__(None, Settings(_env_file=None), catalogue, clock)  # type: ignore[arg-type]
        self.clock = clock
        self.database = FakeDatabase(clock)
        self.queue = InlineQueue(self)

    @cached_property
    def plans(self) -> FakePlanStore:
        return FakePlanStore(self.database)

    @cached_property
    def tasks(self) -> FakeTaskStore:
        return FakeTaskStore(self.database)

    @cached_property
    def access(self) -> FakeAccessLog:
        return FakeAccessLog(self.database)

    @cached_property
    def erasures(self) -> FakeErasureStore:
        return FakeErasureStore(self.database)

    @cached_property
    def controls(self) -> FakeControlStore:
        return FakeControlStore(self.database)

    @cached_property
    def tenants(self) -> FakeTenantStore:
        return FakeTenantStore(self.database)

    @cached_property
    def reviews(self) -> ReviewService:
        return ReviewService(FakeReviewStore(self.database), FakeCardStore(self.database), self._catalogue)

    @cached_property
    def calibration(self) -> CalibrationReports:
        return CalibrationReports(FakeVerdictStore(self.database))

    @cached_property
    def states(self) -> FakeStateStore:
        return FakeStateStore(self.database)

    @cached_property
    def replanner(self) -> ReplannerService:
        return ReplannerService(
            FakeReplanStore(self.database),
            self._dispatcher(None),
            self._keeper,
            self._catalogue,
            self.clock,
            timeout_seconds=10.0,
            max_input_bytes=1_000_000,
        )

    @cached_property
    def policies(self) -> PolicyService:
        return PolicyService(FakePolicyStore(self.database), self._catalogue)

    @cached_property
    def policy_changes(self) -> FakePolicyStore:
        return FakePolicyStore(self.database)

    @cached_property
    def budgets(self) -> BudgetService:
        return BudgetService(FakeBudgetStore(self.database), self.planner)

    @cached_property
    def budget_changes(self) -> FakeBudgetStore:
        return FakeBudgetStore(self.database)

    @cached_property
    def worker(self) -> WorkerService:
        store = FakeWorkStore(self.database)
        return WorkerService(
            store, self.queue, self._keeper, self._catalogue, self.clock, self.agent_slots, max_output_bytes=1_000_000
        )

    @cached_property
    def agents(self) -> FakeAgentRegistry:
        return FakeAgentRegistry(self.clock)

    @cached_property
    def _queue(self) -> Any:
        return self.queue

    @cached_property
    def _decisions(self) -> Any:
        return FakeDecisionStore(self.database)

    def _database(self, setting: str) -> Any:
        return setting

    def _dispatcher(self, database: Any) -> Dispatcher:
        return Dispatcher(FakeWaveStore(self.database), self.queue, self.agents, self._catalogue, window=8)
