"""What lost messages left undone. The sweep sees all tenants: each test looks at what it finds of its own."""

from datetime import timedelta
from uuid import UUID

import pytest

from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports.sweep_store import PlanRef
from tests.contract.scene import EPOCH, Look, Scene, approve, failure, now_of, retry


def publish_others(scene: Scene, epoch: str) -> None:
    """A sweep finds a hundred plans at a time, the oldest first, and other tests leave theirs behind."""
    while others := [plan for plan in scene.world.sweep.unplanned() if plan.tenant_id != scene.tenant_id]:
        for plan in others:
            scene.world.sweep.mark_published(plan, epoch)


@pytest.fixture(autouse=True)
def _others_are_published(scene: Scene) -> None:
    publish_others(scene, EPOCH)


def own(scene: Scene, plans: list[PlanRef]) -> list[UUID]:
    mine = [plan for plan in plans if plan.tenant_id == scene.tenant_id]
    assert {plan.trace_id for plan in mine} <= {"trace"}
    return [plan.plan_id for plan in mine]


def overdue(scene: Scene, *silent: UUID, gone: UUID | None = None, queue_is_empty: bool = False) -> list[Look]:
    sweep = scene.world.sweep
    waves = [wave for wave in sweep.untouched_waves() if wave.tenant_id == scene.tenant_id]
    looks = [scene.look_at(wave, [gone] if gone else [], silent, queue_is_empty=queue_is_empty) for wave in waves]
    return [look for look in looks if look is not None]


def is_waiting(scene: Scene) -> bool:
    return scene.tenant_id in scene.world.sweep.waiting_tenants()


# Deadlines.


def test_a_plan_past_its_deadline_stops(scene: Scene) -> None:
    planned = scene.plan(1, deadline=now_of(scene.world) + timedelta(hours=1))
    assert own(scene, scene.world.sweep.expire_plans()) == []
    scene.pass_time(3601)
    assert own(scene, scene.world.sweep.expire_plans()) == [planned.plan_id]
    assert scene.state(planned.plan_id) is PlanState.STOPPING
    scene.stop_wave(planned.wave)
    assert scene.state(planned.plan_id) is PlanState.EXPIRED


def test_a_plan_that_had_no_tasks_yet_expires_at_once(scene: Scene) -> None:
    plan_id = scene.submit(deadline=now_of(scene.world) + timedelta(hours=1))
    scene.pass_time(3601)
    assert own(scene, scene.world.sweep.expire_plans()) == []
    assert scene.state(plan_id) is PlanState.EXPIRED
    assert scene.entries(plan_id)[-1].actor == "sweep"


def test_a_plan_in_review_expires_too(scene: Scene) -> None:
    planned = scene.plan(1, deadline=now_of(scene.world) + timedelta(hours=1))
    scene.judge(scene.work_off(planned), scene.hitl)
    scene.pass_time(3601)
    assert own(scene, scene.world.sweep.expire_plans()) == [planned.plan_id]


def test_a_plan_that_ended_or_stops_does_not_expire(scene: Scene) -> None:
    deadline = now_of(scene.world) + timedelta(hours=1)
    completed, stopping = scene.plan(1, deadline=deadline), scene.plan(1, deadline=deadline)
    scene.judge(scene.work_off(completed), approve)
    scene.stop(stopping.plan_id)
    scene.pass_time(3601)
    assert own(scene, scene.world.sweep.expire_plans()) == []
    assert scene.state(completed.plan_id) is PlanState.COMPLETED


# Plans that wait for a planner.


def test_a_plan_whose_message_was_never_sent_is_found_after_a_while_and_once(scene: Scene) -> None:
    plan_id = scene.submit()
    assert own(scene, scene.world.sweep.unplanned()) == []
    scene.pass_time(3)
    assert own(scene, scene.world.sweep.unplanned()) == [plan_id]
    scene.world.sweep.mark_published(PlanRef(tenant_id=scene.tenant_id, plan_id=plan_id), EPOCH)
    assert own(scene, scene.world.sweep.unplanned()) == []
    scene.pass_time(11)
    assert own(scene, scene.world.sweep.unplanned()) == [plan_id]


def test_a_plan_whose_planner_died_is_found_when_the_lease_ran_out(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.begin(plan_id, lease_seconds=300)
    scene.pass_time(299)
    assert own(scene, scene.world.sweep.unplanned()) == []
    scene.pass_time(2)
    assert own(scene, scene.world.sweep.unplanned()) == [plan_id]


def test_a_plan_that_is_planned_or_has_ended_needs_no_planner(scene: Scene) -> None:
    scene.plan(1)
    scene.stop(scene.submit())
    scene.pass_time(3600)
    assert own(scene, scene.world.sweep.unplanned()) == []


# Plans that stop.


def test_a_stopping_plan_is_found_until_it_has_stopped(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.stop(planned.plan_id)
    scene.pass_time(5)
    for _ in range(2):
        assert own(scene, scene.world.sweep.stopping()) == [planned.plan_id]
    scene.stop_wave(planned.wave)
    assert own(scene, scene.world.sweep.stopping()) == []


# Waves in flight.


def test_a_wave_in_good_time_is_left_alone(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    assert overdue(scene) == []
    scene.claim(planned.wave, planned.ids)
    scene.pass_time(3)
    assert overdue(scene) == [Look(judge=False, again=False)]
    assert overdue(scene) == []  # it was just looked at


def test_a_wave_with_staged_results_needs_the_judge(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.pass_time(3)
    assert overdue(scene) == [Look(judge=True, again=False)]


def test_a_task_whose_lease_ran_out_goes_back_to_the_queue_and_its_wave_out_again(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.claim(planned.wave, planned.ids[:1], lease_seconds=60)
    scene.claim(planned.wave, planned.ids[1:], lease_seconds=600)
    scene.pass_time(64)
    assert overdue(scene) == [Look(judge=False, again=True)]
    assert scene.states(planned.plan_id) == [TaskState.QUEUED, TaskState.RUNNING]
    assert is_waiting(scene)
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert [task.task_id for task in outgoing.tasks] == planned.ids[:1]


def test_the_result_of_a_lease_that_was_taken_back_is_dropped(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(64)
    overdue(scene)
    assert scene.stage(claim) == 0
    assert scene.claim(planned.wave, planned.ids).tasks[0].attempt == 2


def test_a_task_whose_last_lease_ran_out_is_for_the_judge(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=1)
    scene.send()
    scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(64)
    assert overdue(scene) == [Look(judge=True, again=False)]
    assert scene.states(planned.plan_id) == [TaskState.RUNNING]
    scene.judge(planned.wave, approve)
    assert scene.states(planned.plan_id) == [TaskState.EXHAUSTED]


def test_a_wave_that_nobody_claims_goes_out_again_ever_more_rarely(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.pass_time(3)
    assert [look.again for look in overdue(scene)] == [False]
    scene.pass_time(8)
    assert [look.again for look in overdue(scene)] == [True]
    assert scene.send() == [planned.wave]
    scene.pass_time(11)
    assert [look.again for look in overdue(scene)] == [False]
    scene.pass_time(10)
    assert [look.again for look in overdue(scene)] == [True]


def test_a_wave_whose_message_is_not_in_the_queue_goes_out_again_soon(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.pass_time(2.5)
    assert [look.again for look in overdue(scene, queue_is_empty=True)] == [False]
    scene.pass_time(2.5)
    assert [look.again for look in overdue(scene, queue_is_empty=True)] == [True]
    assert scene.send() == [planned.wave]


def test_a_lease_that_has_just_run_out_may_still_be_renewed(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=15)
    scene.pass_time(17)
    assert overdue(scene) == [Look(judge=False, again=False)]
    assert scene.world.work.renew(planned.wave, claim.token, 15).held
    scene.pass_time(14)
    assert [look.again for look in overdue(scene)] == [False]
    assert scene.stage(claim) == 1


# Agents that are dead.


def test_the_agents_that_hold_a_lease_are_known(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    assert scene.world.sweep.agents(scene.tenant_id, [planned.wave]) == set()
    claim = scene.claim(planned.wave, planned.ids[:1])
    assert scene.world.sweep.agents(scene.tenant_id, [planned.wave]) == {scene.agent_id}
    scene.stage(claim)
    assert scene.world.sweep.agents(scene.tenant_id, [planned.wave]) == set()


def test_what_a_dead_agent_ran_goes_back_to_the_queue_at_once(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=15)
    scene.pass_time(3)
    assert overdue(scene, scene.world.clock.new_id()) == [Look(judge=False, again=False)]
    scene.pass_time(2.5)
    assert overdue(scene, scene.agent_id) == [Look(judge=False, again=True)]
    assert scene.states(planned.plan_id) == [TaskState.QUEUED] * 2
    assert scene.stage(claim) == 0


def test_what_an_agent_ran_whose_own_process_says_that_it_is_gone_does_not_wait(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=15)
    scene.pass_time(3)
    scene.world.work.renew(planned.wave, claim.token, 15)
    assert overdue(scene, gone=scene.agent_id) == [Look(judge=False, again=True)]
    assert scene.stage(claim) == 0


def test_what_was_renewed_lately_is_left_to_its_agent_whatever_the_registry_says(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=15)
    scene.pass_time(3)
    scene.world.work.renew(planned.wave, claim.token, 15)
    assert overdue(scene, scene.agent_id) == [Look(judge=False, again=False)]
    assert scene.stage(claim) == 1


def test_what_a_dead_agent_ran_at_its_last_attempt_is_for_the_judge(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=1)
    scene.send()
    scene.claim(planned.wave, planned.ids, lease_seconds=15)
    scene.pass_time(3)
    assert overdue(scene, scene.agent_id) == [Look(judge=True, again=False)]
    scene.judge(planned.wave, approve)
    assert scene.states(planned.plan_id) == [TaskState.EXHAUSTED]


def test_what_was_lost_goes_out_alone_and_is_claimed_alone(scene: Scene) -> None:
    planned = scene.plan(3)
    scene.send()
    scene.claim(planned.wave, planned.ids[:2], lease_seconds=15)
    scene.pass_time(3)
    overdue(scene, scene.agent_id)
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert {task.task_id: task.alone for task in outgoing.tasks} == dict(
        zip(planned.ids, [True, True, False], strict=True)
    )
    assert scene.claim(planned.wave, planned.ids).ids == planned.ids[2:]
    assert scene.claim(planned.wave, planned.ids[:1]).ids == planned.ids[:1]


def test_what_has_one_attempt_left_goes_out_alone_and_is_claimed_alone(scene: Scene) -> None:
    # A neighbour that ends their agent must not take that attempt.
    planned = scene.plan(2, max_attempts=2)
    scene.judge(scene.work_off(planned, failure()), retry)
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert [task.alone for task in outgoing.tasks] == [True, True]
    assert scene.claim(planned.wave, planned.ids).ids == []
    assert scene.claim(planned.wave, planned.ids[:1]).ids == planned.ids[:1]


# A broker that forgot.


def test_what_another_epoch_of_the_broker_was_sent_is_sent_again(scene: Scene) -> None:
    submitted = scene.submit()
    scene.world.plans.mark_published(scene.tenant_id, submitted, EPOCH)
    planned, unsent = scene.plan(2), scene.plan(1, priority=0)
    assert scene.send(window=1) == [planned.wave]
    scene.claim(planned.wave, planned.ids[:1])
    scene.pass_time(2.5)
    scene.world.sweep.forget(EPOCH)
    assert own(scene, scene.world.sweep.unplanned()) == []
    assert scene.world.waves.take_next(scene.tenant_id, 1) == []

    scene.world.sweep.forget("run/other key")
    publish_others(scene, "run/other key")
    assert own(scene, scene.world.sweep.unplanned()) == [submitted]
    [outgoing] = scene.world.waves.take_next(scene.tenant_id, 1)
    assert outgoing.wave == planned.wave
    assert [task.task_id for task in outgoing.tasks] == planned.ids[1:]
    assert scene.states(unsent.plan_id) == [TaskState.QUEUED]


def test_what_the_broker_s_epoch_was_sent_is_not_sent_again(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.world.waves.take_next(scene.tenant_id, 8)
    scene.world.waves.mark_published([planned.wave], "run/other key")
    scene.world.sweep.forget("run/other key")
    assert scene.world.waves.take_next(scene.tenant_id, 8) == []
    scene.world.sweep.forget(EPOCH)  # as the epoch of all other tests: they run on the same tables
    assert scene.send() == [planned.wave]


def test_a_wave_that_waits_or_is_closed_or_unsent_is_not_looked_at(scene: Scene) -> None:
    closed = scene.plan(1)
    scene.judge(scene.work_off(closed), approve)
    unsent = scene.plan(1)
    scene.world.waves.take_next(scene.tenant_id, 1)
    scene.plan(1)
    scene.pass_time(3600)
    assert overdue(scene) == []
    assert scene.states(unsent.plan_id) == [TaskState.QUEUED]


def test_a_wave_whose_tasks_run_long_is_looked_at_without_harm(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=3600)
    scene.pass_time(600)
    assert overdue(scene) == [Look(judge=False, again=False)]
    assert scene.stage(claim) == 1


# What waits for a skill.


def looked_at(scene: Scene, wave: WaveRef, *skills: str, queue_is_empty: bool = True) -> Look | None:
    """What the sweep finds where agents have these skills."""
    return scene.look_at(wave, queue_is_empty=queue_is_empty, skills=skills)


def test_a_wave_that_was_given_back_goes_out_again_after_a_pause(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.give_back(planned, [])
    assert looked_at(scene, planned.wave, "echo") is None
    scene.pass_time(1.6)
    assert looked_at(scene, planned.wave, "echo") == Look(judge=False, again=True)
    assert scene.send() == [planned.wave]


def test_a_wave_that_was_given_back_goes_out_again_while_the_queue_holds_other_messages(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.give_back(planned, [])
    for _ in range(3):
        scene.pass_time(2)
        found = looked_at(scene, planned.wave, "echo", queue_is_empty=False)
        assert found == Look(judge=False, again=False)
    scene.pass_time(5)
    found = looked_at(scene, planned.wave, "echo", queue_is_empty=False)
    assert found == Look(judge=False, again=True)


def test_a_wave_whose_skill_no_agent_has_stays_and_is_looked_at_less_often(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.pass_time(60)
    assert looked_at(scene, planned.wave, "shout") == Look(judge=False, again=False)
    scene.pass_time(2)
    assert looked_at(scene, planned.wave, "shout") is None
    scene.pass_time(1.1)
    assert looked_at(scene, planned.wave, "echo") == Look(judge=False, again=True)


def test_a_wave_that_no_task_waits_in_waits_for_no_skill(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.give_back(planned, [])
    scene.claim(planned.wave, planned.ids)
    for _ in range(2):
        scene.pass_time(2)
        assert looked_at(scene, planned.wave, "echo") == Look(judge=False, again=False)


# Tenants with something to send.


def test_a_tenant_with_a_waiting_wave_is_waiting_until_that_is_sent(scene: Scene) -> None:
    assert not is_waiting(scene)
    planned = scene.plan(1)
    assert is_waiting(scene)
    scene.world.waves.take_next(scene.tenant_id, 8)
    assert is_waiting(scene)
    scene.world.waves.mark_published([planned.wave], EPOCH)
    assert not is_waiting(scene)


def test_a_tenant_with_a_task_to_try_again_is_waiting(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.judge(scene.work_off(planned, failure()), retry)
    assert is_waiting(scene)


def test_a_tenant_is_named_once_and_a_stopping_plan_does_not_count(scene: Scene) -> None:
    first, second = scene.plan(1), scene.plan(1)
    assert scene.world.sweep.waiting_tenants().count(scene.tenant_id) == 1
    for planned in (first, second):
        scene.stop(planned.plan_id)
    assert not is_waiting(scene)


def test_a_plan_with_a_task_in_review_still_has_waves_to_send(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    scene.send(window=1)
    scene.stage(scene.claim(planned.wave, planned.ids_of(planned.wave)))
    scene.judge(planned.wave, scene.hitl)
    assert is_waiting(scene)
