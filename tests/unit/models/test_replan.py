"""Replan hooks, and what is ruled where a planner gives up."""

from uuid import UUID

import pytest

from chimera.errors import InvalidInput
from chimera.models.work.decision import Reason, Verdict
from chimera.models.work.planner import Planner
from chimera.models.work.replan import DeniedTask, planner_gave_up
from chimera.models.work.task import TaskSpec, TaskState
from tests.unit.declared import as_planner

WHY = Reason(rule="confidence.below", threshold=0.7, value=0.5)


def denied() -> DeniedTask:
    return DeniedTask(
        tenant_id="acme",
        plan_id=UUID(int=1),
        task_id=UUID(int=2),
        goal="g",
        inputs={},
        skill="echo",
        input={"text": "a", "limit": 3},
        attempt=1,
        max_attempts=3,
        depth=1,
        output=None,
        feedback=(WHY,),
    )


@pytest.fixture
def planner() -> Planner[[]]:
    def tasks() -> list[TaskSpec]:
        return []

    return as_planner(tasks, name="p")


def test_a_denied_task_makes_the_next_one() -> None:
    task = denied().task(text="b", extra=1)
    assert (task.skill, task.input) == ("echo", {"text": "b", "limit": 3, "extra": 1})
    assert denied().task() == TaskSpec(skill="echo", input={"text": "a", "limit": 3})


def test_a_planner_has_no_hook_before_it_is_given_one(planner: Planner[[]]) -> None:
    assert planner.replan_hook is None

    @planner.replan
    def again(denied: DeniedTask) -> TaskSpec | None:
        return denied.task()

    assert planner.replan_hook is again
    assert again(denied()) == denied().task()


def test_a_planner_has_one_hook(planner: Planner[[]]) -> None:
    def first(denied: DeniedTask) -> TaskSpec | None:
        return None

    def second(denied: DeniedTask) -> TaskSpec | None:
        return None

    planner.replan(first)
    planner.replan(first)  # a module that is imported twice
    with pytest.raises(InvalidInput, match=r"planner 'p' has a replan hook already: .*first"):
        planner.replan(second)


def test_a_hook_takes_the_denied_task(planner: Planner[[]]) -> None:
    with pytest.raises(InvalidInput, match="takes one argument, the DeniedTask"):
        planner.replan(lambda: None)  # type: ignore[arg-type, misc]

    async def later(denied: DeniedTask) -> TaskSpec | None:
        return None

    with pytest.raises(InvalidInput, match="must not be async"):
        planner.replan(later)  # type: ignore[arg-type]


@pytest.mark.parametrize(("failure", "rule"), [(None, "replan.given_up"), ("hook_raised: X", "replan.failed")])
def test_giving_up_denies_for_good_with_the_reasons(failure: str | None, rule: str) -> None:
    ruling = planner_gave_up((WHY,), failure)
    assert (ruling.verdict, ruling.next_state, ruling.final) == (Verdict.DENY, TaskState.DENIED, True)
    assert ruling.reasons == (WHY, Reason(rule=rule, value=failure))
