"""The outbox of the fan-out: which waves go out next."""

import pytest

from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from tests.contract.scene import EPOCH, Planned, Scene, approve, deny, retry


def taken(scene: Scene, window: int = 8) -> list[WaveRef]:
    return [outgoing.wave for outgoing in scene.world.waves.take_next(scene.tenant_id, window)]


def test_a_wave_goes_out_with_its_tasks_in_the_plan_s_order(scene: Scene) -> None:
    planned = scene.plan(3)
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert (outgoing.wave, outgoing.trace_id) == (planned.wave, "trace")
    assert [task.task_id for task in outgoing.tasks] == planned.ids
    assert {(task.skill, task.timeout_seconds) for task in outgoing.tasks} == {("echo", 10.0)}


def test_a_tenant_without_waves_sends_none(scene: Scene, stranger: Scene) -> None:
    stranger.plan(1)
    assert taken(scene) == []


def test_no_more_waves_are_in_flight_than_the_window(scene: Scene) -> None:
    planned = scene.plan(1, 1, 1)
    assert scene.send(window=2) == list(planned.waves[:2])
    assert scene.send(window=2) == []
    scene.judge(scene_worked_off(scene, planned), approve)
    assert scene.send(window=2) == [planned.waves[2]]


def test_a_smaller_window_takes_nothing_back(scene: Scene) -> None:
    scene.plan(1, 1)
    scene.send(window=2)
    scene.plan(1)
    assert scene.send(window=1) == []


def test_the_windows_of_two_tenants_are_apart(scene: Scene, stranger: Scene) -> None:
    scene.plan(1)
    planned = stranger.plan(1)
    scene.send(window=1)
    assert stranger.send(window=1) == [planned.wave]


def test_the_highest_priority_goes_first_then_the_oldest(scene: Scene) -> None:
    low, first, second = scene.plan(1, priority=10), scene.plan(1, 1, priority=90), scene.plan(1, priority=90)
    assert [taken(scene, window) for window in (1, 2, 3, 4)] == [
        [first.waves[0]],
        [first.waves[1]],
        [second.wave],
        [low.wave],
    ]


def test_waves_taken_at_once_are_in_that_order_too(scene: Scene) -> None:
    plans = [scene.plan(1, priority=priority) for priority in (10, 90, 50, 70, 30)]
    assert taken(scene) == [plans[number].wave for number in (1, 3, 2, 4, 0)]


def test_a_wave_is_not_taken_twice(scene: Scene) -> None:
    scene.plan(1)
    assert len(taken(scene)) == 1
    assert taken(scene) == []


def test_a_wave_whose_sender_died_is_taken_again(scene: Scene) -> None:
    planned = scene.plan(1)
    taken(scene)
    scene.pass_time(6)
    assert taken(scene) == [planned.wave]
    assert taken(scene) == []


def test_a_wave_that_was_sent_stays_sent(scene: Scene) -> None:
    scene.plan(1)
    scene.send()
    scene.pass_time(3600)
    assert taken(scene) == []


def test_an_unsent_wave_does_not_wait_for_room(scene: Scene) -> None:
    planned = scene.plan(1)
    taken(scene, window=1)
    scene.pass_time(6)
    assert taken(scene, window=1) == [planned.wave]


def test_dependent_tasks_wait_for_the_final_decisions_on_those_they_need(scene: Scene) -> None:
    planned = scene.plan(1, 1, dependent=True)
    assert scene.send() == [planned.waves[0]]
    claim = scene.claim(planned.wave, planned.ids_of(planned.wave))
    assert scene.send() == []
    scene.stage(claim)
    assert scene.send() == []
    scene.judge(planned.wave, approve)
    assert scene.send() == [planned.waves[1]]


def test_a_person_s_decision_is_waited_for_as_well(scene: Scene) -> None:
    planned = scene.plan(1, 1, dependent=True)
    scene.judge(scene.work_off(planned), scene.hitl)
    assert scene.send() == []
    [card] = scene.cards(planned.plan_id)
    scene.decide(card, approve=True)
    assert scene.send() == [planned.waves[1]]


def test_tasks_whose_dependency_was_denied_go_out_to_be_refused(scene: Scene) -> None:
    planned = scene.plan(1, 1, dependent=True)
    scene.judge(scene.work_off(planned), deny)
    assert scene.send() == [planned.waves[1]]


def test_waves_without_dependencies_do_not_wait_for_one_another(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    assert scene.send() == list(planned.waves)


@pytest.mark.parametrize("end", [PlanState.CANCELLED, PlanState.EXPIRED])
def test_the_waves_of_a_plan_that_stops_stay_where_they_are(scene: Scene, end: PlanState) -> None:
    planned = scene.plan(1)
    scene.stop(planned.plan_id, end)
    assert scene.send() == []


def test_a_plan_with_a_task_in_review_goes_on(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    assert scene.send(window=1) == [planned.waves[0]]
    scene.stage(scene.claim(planned.wave, planned.ids_of(planned.wave)))
    scene.judge(planned.wave, scene.hitl)
    assert scene.send(window=1) == [planned.waves[1]]


def test_a_wave_with_a_task_to_try_again_goes_out_at_once_with_that_task_only(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.work_off(planned)
    first = planned.ids[0]
    assert scene.judge(planned.wave, lambda staged: (retry if staged.task_id == first else approve)(staged)) == 1
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert [task.task_id for task in outgoing.tasks] == [first]


def test_a_wave_whose_tasks_are_all_taken_goes_out_empty(scene: Scene) -> None:
    planned = scene.plan(1)
    taken(scene)
    scene.claim(planned.wave, planned.ids)
    scene.pass_time(6)
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert outgoing.tasks == ()
    assert scene.states(planned.plan_id) == [TaskState.RUNNING]


def test_the_judge_sends_waves_as_the_planner_does(scene: Scene) -> None:
    planned = scene.plan(1, 1, 1)
    scene.send(window=1)
    waves = scene.world.waves_of_judge
    outgoing = waves.take_next(scene.tenant_id, 2)
    assert [wave.wave for wave in outgoing] == [planned.waves[1]]
    waves.mark_published([wave.wave for wave in outgoing], EPOCH)
    scene.pass_time(6)
    assert waves.take_next(scene.tenant_id, 2) == []


def test_waves_that_wait_for_a_skill_leave_room_to_other_plans(scene: Scene) -> None:
    stuck = scene.plan(1, 1, 1)
    other = scene.plan(1)
    waves = scene.world.waves
    for expected in (stuck.wave, other.wave):
        assert [wave.wave for wave in waves.take_next(scene.tenant_id, 1)] == [expected]
        waves.mark_published([expected], EPOCH, [expected])
    assert waves.take_next(scene.tenant_id, 1) == [], "a plan has no more than a window of waves that wait for a skill"
    assert [wave.wave for wave in waves.take_next(scene.tenant_id, 2)] == list(stuck.waves[1:])


def scene_worked_off(scene: Scene, planned: Planned) -> WaveRef:
    """The plan's first wave, which is in flight, with everything staged."""
    scene.stage(scene.claim(planned.wave, planned.ids_of(planned.wave)))
    return planned.wave
