"""A whole swarm in memory: what is published is done at once, in this thread."""

from functools import cached_property
from uuid import UUID

from chimera.bootstrap import Services
from chimera.bootstrap.adapters import Adapters
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.wave import Dispatch, WaveRef
from chimera.settings import Settings
from tests.fakes import (
    FakeAgentRegistry,
    FakeBudgetStore,
    FakeCardStore,
    FakeClock,
    FakeControlStore,
    FakeDatabase,
    FakeDecisionStore,
    FakeIdStore,
    FakePlanStore,
    FakePolicyStore,
    FakeQueue,
    FakeReplanStore,
    FakeReviewStore,
    FakeSessionStore,
    FakeSkillStore,
    FakeSkillWaits,
    FakeTaskStore,
    FakeVerdictStore,
    FakeWaveStore,
    FakeWorkStore,
)


class InlineQueue(FakeQueue):
    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    def publish_plan(self, tenant_id: str, plan_id: UUID) -> None:
        super().publish_plan(tenant_id, plan_id)
        self._services.working.planner.plan(tenant_id, plan_id)

    def publish_replan(self, wave: WaveRef) -> None:
        super().publish_replan(wave)
        self._services.working.replanner.replan_wave(wave)

    def publish_wave(self, dispatch: Dispatch) -> None:
        super().publish_wave(dispatch)
        for batch in dispatch.batches:
            self._services.working.worker.run_batch(dispatch.wave, batch.task_ids, batch.timeout_seconds)
        self._services.judging.judge.judge_wave(dispatch.wave)

    def publish_judge(self, wave: WaveRef) -> None:
        super().publish_judge(wave)
        self._services.judging.judge.judge_wave(wave)

    def publish_dispatch(self, tenant_id: str) -> None:
        super().publish_dispatch(tenant_id)
        self._services.judging.dispatcher.dispatch(tenant_id)

    def publish_stop(self, tenant_id: str, plan_id: UUID) -> None:
        super().publish_stop(tenant_id, plan_id)
        self._services.judging.judge.stop_plan(tenant_id, plan_id)


class FakeAdapters(Adapters):
    """The ports in memory."""

    def __init__(self, clock: FakeClock, inline: InlineQueue) -> None:
        super().__init__(None, Settings(_env_file=None), clock)  # type: ignore[arg-type]
        self.database = FakeDatabase(clock)
        self._fake_clock = clock
        self._inline = inline

    @cached_property
    def queue(self) -> InlineQueue:
        return self._inline

    @cached_property
    def agents(self) -> FakeAgentRegistry:
        return FakeAgentRegistry(self._fake_clock)

    @cached_property
    def plans(self) -> FakePlanStore:
        return FakePlanStore(self.database)

    @cached_property
    def ids(self) -> FakeIdStore:
        return FakeIdStore(self.database)

    @cached_property
    def tasks(self) -> FakeTaskStore:
        return FakeTaskStore(self.database)

    @cached_property
    def controls(self) -> FakeControlStore:
        return FakeControlStore(self.database)

    @cached_property
    def sessions(self) -> FakeSessionStore:
        return FakeSessionStore(self.database)

    @cached_property
    def replans(self) -> FakeReplanStore:
        return FakeReplanStore(self.database)

    @cached_property
    def waves(self) -> FakeWaveStore:
        return FakeWaveStore(self.database)

    @cached_property
    def judged_waves(self) -> FakeWaveStore:
        return FakeWaveStore(self.database)

    @cached_property
    def policies(self) -> FakePolicyStore:
        return FakePolicyStore(self.database)

    @cached_property
    def policy_changes(self) -> FakePolicyStore:
        return FakePolicyStore(self.database)

    @cached_property
    def budgets(self) -> FakeBudgetStore:
        return FakeBudgetStore(self.database)

    @cached_property
    def budget_changes(self) -> FakeBudgetStore:
        return FakeBudgetStore(self.database)

    @cached_property
    def reviews(self) -> FakeReviewStore:
        return FakeReviewStore(self.database)

    @cached_property
    def cards(self) -> FakeCardStore:
        return FakeCardStore(self.database)

    @cached_property
    def verdicts(self) -> FakeVerdictStore:
        return FakeVerdictStore(self.database)

    @cached_property
    def skills(self) -> FakeSkillStore:
        return FakeSkillStore(self.database)

    @cached_property
    def skills_of_worker(self) -> FakeSkillStore:
        return self.skills

    @cached_property
    def skills_of_judge(self) -> FakeSkillStore:
        return self.skills

    @cached_property
    def waits(self) -> FakeSkillWaits:
        return FakeSkillWaits(self.database)

    @cached_property
    def all_waits(self) -> FakeSkillWaits:
        return FakeSkillWaits(self.database)

    @cached_property
    def work(self) -> FakeWorkStore:
        return FakeWorkStore(self.database)

    @cached_property
    def decisions(self) -> FakeDecisionStore:
        return FakeDecisionStore(self.database)


class FakeServices(Services):
    """The services over the ports in memory."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.clock = FakeClock()
        super().__init__(None, Settings(_env_file=None), catalogue, self.clock)  # type: ignore[arg-type]

    def load_user_code(self) -> Catalogue:
        return self._catalogue

    @cached_property
    def adapters(self) -> FakeAdapters:
        return FakeAdapters(self.clock, InlineQueue(self))

    @property
    def database(self) -> FakeDatabase:
        return self.adapters.database

    @property
    def queue(self) -> InlineQueue:
        return self.adapters.queue
