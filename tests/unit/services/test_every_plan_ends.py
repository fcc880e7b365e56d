"""All services together: a plan ends, and each of its tasks once, whatever becomes of the messages."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from chimera.models.gate.policy import Bands, SkillPolicy
from chimera.models.work.plan import ENDED, PlanState
from chimera.models.work.replan import DeniedTask
from chimera.models.work.skill import SkillFailed, Success
from chimera.models.work.task import TERMINAL, TaskSpec
from chimera.models.work.wave import Batch, WaveRef
from tests.fakes import FakeReplanStore
from tests.unit import strategies  # noqa: F401  its profile
from tests.unit.services.house import TENANT, House, taken

# What becomes of a message: it arrives, is lost, comes twice, or whoever has it dies over it.
FATES = st.sampled_from(["once", "lost", "twice", "killed"])
# More than all that can be lost costs.
ROUNDS = 400


def work(number: int) -> Success[int]:
    if number % 4 == 0:
        raise SkillFailed("no", retryable=number % 8 == 0)
    return Success(number, confidence=0.9 if number % 3 else 0.5)


class Post:
    """Delivers messages as the fates have it; when those are used up, all arrive."""

    def __init__(self, house: House, fates: list[str]) -> None:
        self._house = house
        self._fates = fates

    def deliver_all(self) -> None:
        house, queue = self._house, self._house.queue
        for plan in taken(queue.plans):
            self._deliver(partial(house.planner().plan, plan.tenant_id, plan.plan_id))
        for dispatch in taken(queue.dispatches):
            for batch in dispatch.batches:
                run = partial(house.worker().run_batch, dispatch.wave, batch.task_ids, batch.timeout_seconds)
                self._deliver(run, dies=partial(self._claim_and_die, dispatch.wave, batch))
            self._deliver(partial(house.judge().judge_wave, dispatch.wave))
        for wave in taken(queue.replans):
            self._deliver(partial(house.replanner().replan_wave, wave), dies=partial(self._ask_and_die, wave))
        for wave in taken(queue.judged):
            self._deliver(partial(house.judge().judge_wave, wave))
        for plan in taken(queue.stopped):
            self._deliver(partial(house.judge().stop_plan, plan.tenant_id, plan.plan_id))

    def _deliver(self, run: Callable[[], object], dies: Callable[[], object] = lambda: None) -> None:
        fate = self._fates.pop() if self._fates else "once"
        for act in {"once": [run], "twice": [run, run], "killed": [dies]}.get(fate, []):
            act()

    def _claim_and_die(self, wave: WaveRef, batch: Batch) -> None:
        new_id = self._house.clock.new_id
        self._house.work.claim(wave, batch.task_ids, new_id(), new_id(), 60, self._house.catalogue.skills)

    def _ask_and_die(self, wave: WaveRef) -> None:
        FakeReplanStore(self._house.database).begin(wave, self._house.clock.new_id(), 8, self._house.catalogue.planners)


def plan_again(denied: DeniedTask) -> TaskSpec | None:
    number = denied.input["number"]
    if number % 5 == 1:
        raise RuntimeError("the model is away")
    return None if number % 5 == 2 else denied.task(number=number + 1)


@given(
    count=st.integers(0, 9),
    fates=st.lists(FATES, max_size=60),
    cancelled_in_round=st.none() | st.integers(0, 5),
    has_hook=st.booleans(),
)
@settings(max_examples=settings().max_examples // 2)
def test_a_plan_ends_and_each_task_once(
    count: int, fates: list[str], cancelled_in_round: int | None, *, has_hook: bool
) -> None:
    house = House()
    # What is in the middle goes back to where it came from.
    house.apply(defaults=SkillPolicy(confidence=Bands(hitl=0.7, retry=0.0)), max_replans=3)
    skill = house.skill(work, max_batch=2, max_attempts=4)

    def specs() -> list[TaskSpec]:
        first = [skill.task(number) for number in range(count)]
        # Some need others, and want one entry of shared state.
        return first + [skill.task(99).options(depends_on=tuple(first[:2]), state_key="k") for _ in first[:2]]

    planner = house.plans_with(specs)
    if has_hook:
        planner.replan(plan_again)
    plan_id = house.submit()
    post = Post(house, fates)
    for number in range(ROUNDS):
        post.deliver_all()
        if house.state(plan_id) in ENDED:
            break
        if number == cancelled_in_round:
            house.control().cancel(TENANT, plan_id, "ann")
        house.clock.advance(15)
        house.sweep().run()
    assert_ended(house, plan_id)


def assert_ended(house: House, plan_id: UUID) -> None:
    plan = house.shown(plan_id)
    assert plan.state in ENDED
    assert plan.state is not PlanState.FAILED
    assert set(house.states(plan_id)) <= TERMINAL
    assert plan.counts.open == plan.counts.in_review == 0
    # One final decision for each task, and for no other; the fake store refuses a second.
    assert {task_id for _, task_id in house.database.final} == {result.task_id for result in house.results(plan_id)}
