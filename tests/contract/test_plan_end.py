"""How a plan ends says whether its tasks came to an answer."""

import pytest

from chimera.models.work.plan import PlanState
from tests.contract.scene import Says, Scene, approve, deny, exhaust, failure


def ended(scene: Scene, *says: Says) -> PlanState:
    """The state of a plan with a wave of one task for each of these rulings, worked off in turn."""
    planned = scene.plan(*(1 for _ in says))
    for wave_no, rule in enumerate(says):
        scene.judge(scene.work_off(planned, failure() if rule is exhaust else None, wave_no), rule)
    return scene.state(planned.plan_id)


@pytest.mark.parametrize("says", [(approve,), (deny,), (approve, deny)], ids=["approved", "denied", "both"])
def test_a_plan_whose_tasks_were_all_approved_or_denied_is_completed(scene: Scene, says: tuple[Says, ...]) -> None:
    assert ended(scene, *says) is PlanState.COMPLETED


@pytest.mark.parametrize(
    "says",
    [(exhaust,), (approve, exhaust), (exhaust, deny)],
    ids=["failed", "approved and failed", "failed and denied"],
)
def test_a_plan_with_a_task_without_an_answer_is_completed_with_failures(scene: Scene, says: tuple[Says, ...]) -> None:
    assert ended(scene, *says) is PlanState.COMPLETED_WITH_FAILURES
    plan = scene.world.plans.list_plans(scene.tenant_id, 1, PlanState.COMPLETED_WITH_FAILURES)[0]
    assert (plan.counts.failed, plan.finished_at is not None) == (1, True)
    assert scene.kinds(plan.plan_id)[-1] == "plan.completed_with_failures"


@pytest.mark.parametrize("approved", [True, False])
def test_people_who_decide_last_leave_it_so(scene: Scene, approved: bool) -> None:
    planned = scene.plan(1, 1)
    scene.judge(scene.work_off(planned, failure()), exhaust)
    scene.judge(scene.work_off(planned, wave_no=1), scene.hitl)
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW
    [card] = scene.cards(planned.plan_id)
    scene.decide(card, approve=approved, note="no")
    assert scene.state(planned.plan_id) is PlanState.COMPLETED_WITH_FAILURES


def test_a_cancelled_plan_is_cancelled_whatever_failed_before(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    scene.judge(scene.work_off(planned, failure()), exhaust)
    scene.stop(planned.plan_id)
    for wave in scene.world.decisions.open_waves(scene.tenant_id, planned.plan_id):
        scene.world.decisions.stop_wave(wave)
    assert scene.state(planned.plan_id) is PlanState.CANCELLED
