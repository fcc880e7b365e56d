"""Tasks that the gate sent back, from the denial to the end."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from chimera.models.record import sha256
from chimera.models.work.plan import PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports.replan_store import ReplanJob, Replanned
from tests.contract.scene import WRONG, Scene, approve, end, failure, now_of, replan, retry, success

BETTER = Replanned(skill="shout", input='{"text":"again"}', timeout_seconds=7.0)


def begun(scene: Scene, wave: WaveRef) -> tuple[ReplanJob, UUID]:
    job, token = scene.begin_replan(wave)
    assert job is None or job.trace_id == "trace"
    assert job is not None
    return job, token


def decided(scene: Scene, plan_id: UUID) -> list[dict[str, object]]:
    return [entry.facts or {} for entry in scene.entries(plan_id) if entry.kind == "task.decided"]


def facts(scene: Scene, plan_id: UUID, kind: str) -> list[dict[str, object]]:
    return [(entry.facts or {}) for entry in scene.entries(plan_id) if entry.kind == kind]


# Sent back.


def test_what_is_sent_back_waits_for_its_planner_and_for_no_agent(scene: Scene) -> None:
    planned = scene.asked()
    assert scene.states(planned.plan_id) == [TaskState.QUEUED]
    assert scene.send() == []
    assert scene.claim(planned.wave, planned.ids).ids == []
    assert scene.state(planned.plan_id) is PlanState.RUNNING


def test_where_the_planner_has_no_hook_it_is_done_again_with_the_reasons(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.judge(scene.work_off(planned), replan)
    assert scene.begin_replan(planned.wave)[0] is None
    assert scene.send() == [planned.wave]
    [task] = scene.claim(planned.wave, planned.ids).tasks
    assert (task.attempt, task.max_attempts) == (2, 3)
    assert json.loads(task.feedback or "") == [WRONG.model_dump(mode="json")]


def test_what_failed_is_tried_again_without_its_planner(scene: Scene) -> None:
    planned = scene.plan(1, has_replan=True)
    scene.judge(scene.work_off(planned, failure()), retry)
    assert scene.begin_replan(planned.wave)[0] is None
    assert scene.claim(planned.wave, planned.ids).ids == planned.ids


def test_how_often_it_was_sent_back_is_counted_and_failures_are_not(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=9)
    for says, known in ((replan, 0), (retry, 1), (replan, 1), (retry, 2)):
        scene.work_off(planned)
        [staged] = scene.world.decisions.open_wave(planned.wave).staged
        assert staged.replans == known
        scene.judge(planned.wave, says)


def test_what_of_a_wave_is_sent_back_as_it_is_does_not_wait_for_the_planner_of_the_rest(scene: Scene) -> None:
    planned = scene.plan(2, has_replan=True)
    wave = scene.work_off(planned)
    scene.judge(wave, lambda staged: (replan if staged.task_id == planned.ids[0] else retry)(staged))
    assert scene.send() == [wave]
    assert scene.claim(wave, planned.ids).ids == planned.ids[1:]


# Asked.


def test_the_planner_is_told_all_that_it_needs(scene: Scene) -> None:
    planned = scene.asked(goal="find it", inputs={"n": 7}, state_key="k")
    job, _ = begun(scene, planned.wave)
    denied = job.denied
    assert (job.planner, job.tries, job.state_key, job.timeout_seconds) == ("p", 1, "k", 10.0)
    assert (denied.tenant_id, denied.plan_id, denied.task_id) == (scene.tenant_id, planned.plan_id, planned.ids[0])
    assert (denied.goal, denied.inputs) == ("find it", {"n": 7})
    assert (denied.skill, denied.input, denied.output) == ("echo", {"text": "hello"}, "fine")
    assert (denied.attempt, denied.max_attempts, denied.depth) == (1, 3, 1)
    assert denied.feedback == (WRONG,)


def test_each_task_is_asked_about_by_one(scene: Scene) -> None:
    planned = scene.asked(2)
    found = [begun(scene, planned.wave)[0].denied.task_id for _ in range(2)]
    assert found == planned.ids
    assert scene.begin_replan(planned.wave)[0] is None


def test_when_the_lease_is_over_another_asks(scene: Scene) -> None:
    planned = scene.asked()
    _, first = begun(scene, planned.wave)
    scene.pass_time(61)
    job, second = begun(scene, planned.wave)
    assert job.tries == 2
    assert not scene.world.replans.save(planned.wave, planned.ids[0], first, BETTER)
    assert not scene.world.replans.give_up(planned.wave, planned.ids[0], first, None)
    assert not scene.world.replans.postpone(planned.wave, planned.ids[0], first, "it broke", 2)
    assert not scene.world.replans.renew(planned.wave, planned.ids[0], first, 60).held
    assert scene.world.replans.save(planned.wave, planned.ids[0], second, BETTER)


def test_a_lease_is_prolonged_while_the_plan_goes_on(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    scene.pass_time(50)
    assert scene.world.replans.renew(planned.wave, planned.ids[0], token, 60).held
    scene.pass_time(50)
    assert scene.begin_replan(planned.wave)[0] is None
    scene.stop(planned.plan_id)
    assert not scene.world.replans.renew(planned.wave, planned.ids[0], token, 60).held


@pytest.mark.parametrize("how", ["paused", "stopped", "late"])
def test_nothing_is_asked_of_a_plan_that_does_not_go_on(scene: Scene, how: str) -> None:
    deadline = now_of(scene.world) + timedelta(seconds=30) if how == "late" else None
    planned = scene.asked(deadline=deadline)
    if how == "paused":
        scene.pause(planned.plan_id)
    elif how == "stopped":
        scene.stop(planned.plan_id)
    else:
        scene.pass_time(31)
    scene.pass_time(3)
    assert scene.begin_replan(planned.wave)[0] is None
    scene.world.sweep.expire_plans()
    assert planned.wave not in scene.world.sweep.unreplanned()


def test_another_tenant_can_do_nothing_about_it(scene: Scene, stranger: Scene) -> None:
    planned = scene.asked()
    theirs = planned.wave.model_copy(update={"tenant_id": stranger.tenant_id})
    assert stranger.begin_replan(theirs)[0] is None
    _, token = begun(scene, planned.wave)
    assert not stranger.world.replans.save(theirs, planned.ids[0], token, BETTER)
    assert not stranger.world.replans.give_up(theirs, planned.ids[0], token, None)
    assert not stranger.world.replans.postpone(theirs, planned.ids[0], token, "it broke", 2)
    assert not stranger.world.replans.renew(theirs, planned.ids[0], token, 60).held
    assert stranger.entries() == stranger.entries(None)[:1]


# Answered.


def test_the_planner_s_task_is_sent_and_ends_the_plan(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    assert scene.world.replans.save(planned.wave, planned.ids[0], token, BETTER)
    assert not scene.world.replans.save(planned.wave, planned.ids[0], token, BETTER), "twice changes nothing"
    assert scene.send() == [planned.wave]
    claim = scene.claim(planned.wave, planned.ids)
    [task] = claim.tasks
    assert (task.skill, task.input, task.timeout_seconds) == ("shout", BETTER.input, 7.0)
    assert (task.attempt, json.loads(task.feedback or "")) == (2, [WRONG.model_dump(mode="json")])
    scene.stage(claim)
    scene.judge(planned.wave, approve)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED]
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert scene.tenant_id not in {wave.tenant_id for wave in scene.world.sweep.unreplanned()}


def test_a_task_that_is_given_up_is_denied_for_good_with_the_reasons(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    assert scene.world.replans.give_up(planned.wave, planned.ids[0], token, None)
    assert scene.begin_replan(planned.wave)[0] is None
    assert scene.claim(planned.wave, planned.ids).ids == []
    [given_up] = scene.world.decisions.open_wave(planned.wave).given_up
    assert (given_up.task_id, given_up.attempt, given_up.reasons, given_up.failure) == (
        planned.ids[0],
        1,
        (WRONG,),
        None,
    )
    scene.judge(planned.wave, approve)
    assert scene.states(planned.plan_id) == [TaskState.DENIED]
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    sent_back, ended = decided(scene, planned.plan_id)
    assert (sent_back["final"], ended["final"], ended["verdict"]) == (False, True, "deny")
    rules = [reason["rule"] for reason in ended["reasons"]]  # type: ignore[attr-defined]
    assert rules == [WRONG.rule, "replan.given_up"]


def test_ending_what_was_given_up_twice_ends_it_once(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    scene.world.replans.give_up(planned.wave, planned.ids[0], token, None)
    decisions = [end(task) for task in scene.world.decisions.open_wave(planned.wave).given_up]
    scene.world.decisions.decide_wave(planned.wave, decisions)
    scene.world.decisions.decide_wave(planned.wave, decisions)
    assert len(decided(scene, planned.plan_id)) == 2


def test_only_what_its_planner_gave_up_is_ended_so(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    scene.world.replans.give_up(planned.wave, planned.ids[0], token, None)
    early = [end(task) for task in scene.world.decisions.open_wave(planned.wave).given_up]
    other = scene.asked()
    moved = early[0].decision.model_copy(update={"task_id": other.ids[0]})
    scene.world.decisions.decide_wave(other.wave, [early[0].model_copy(update={"decision": moved})])
    assert scene.states(other.plan_id) == [TaskState.QUEUED]


def test_what_its_planner_failed_at_says_so(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    assert scene.world.replans.give_up(planned.wave, planned.ids[0], token, "hook_raised: ValueError")
    [given_up] = scene.world.decisions.open_wave(planned.wave).given_up
    assert given_up.failure == "hook_raised: ValueError"
    scene.judge(planned.wave, approve)
    assert decided(scene, planned.plan_id)[-1]["reasons"][-1] == {  # type: ignore[index]
        "rule": "replan.failed",
        "threshold": None,
        "value": "hook_raised: ValueError",
        "spans": [],
    }


def test_a_planner_that_failed_is_asked_again_after_a_while(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    assert scene.world.replans.postpone(planned.wave, planned.ids[0], token, "it broke", 5)
    assert scene.begin_replan(planned.wave)[0] is None
    scene.pass_time(6)
    assert planned.wave in scene.world.sweep.unreplanned()
    assert begun(scene, planned.wave)[0].tries == 2


def test_the_tries_begin_anew_with_each_denial(scene: Scene) -> None:
    planned = scene.asked(max_attempts=5)
    _, token = begun(scene, planned.wave)
    scene.world.replans.postpone(planned.wave, planned.ids[0], token, "it broke", 0)
    scene.pass_time(1)
    _, token = begun(scene, planned.wave)
    scene.world.replans.save(planned.wave, planned.ids[0], token, BETTER)
    scene.judge(scene.work_off(planned), replan)
    job, _ = begun(scene, planned.wave)
    assert (job.tries, job.denied.depth, job.denied.skill, job.denied.attempt) == (1, 2, "shout", 2)


def test_a_stop_ends_what_waits_for_its_planner(scene: Scene) -> None:
    planned = scene.asked(2)
    _, token = begun(scene, planned.wave)
    scene.stop(planned.plan_id)
    assert not scene.world.replans.save(planned.wave, planned.ids[0], token, BETTER)
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.CANCELLED] * 2
    assert scene.state(planned.plan_id) is PlanState.CANCELLED
    assert scene.tenant_id not in {wave.tenant_id for wave in scene.world.sweep.unreplanned()}


def test_what_was_asked_and_answered_is_on_record(scene: Scene) -> None:
    planned = scene.asked(2)
    first, second = planned.ids
    _, token = begun(scene, planned.wave)
    scene.world.replans.postpone(planned.wave, first, token, "hook_raised: ValueError", 5)
    _, token = begun(scene, planned.wave)
    scene.world.replans.give_up(planned.wave, second, token, None)
    scene.pass_time(6)
    _, token = begun(scene, planned.wave)
    scene.world.replans.save(planned.wave, first, token, BETTER)
    place = {"attempt": 1, "depth": 1}
    asked = place | {"skill": "echo", "reasons": [WRONG.model_dump(mode="json")]}
    assert facts(scene, planned.plan_id, "plan.replan_asked") == [asked | {"try": number} for number in (1, 1, 2)]
    assert facts(scene, planned.plan_id, "plan.replan_answered") == [
        place | {"answer": "failed", "failure": "hook_raised: ValueError", "again": True},
        place | {"answer": "given_up"},
        place | {"answer": "task", "skill": "shout", "input_sha256": sha256(BETTER.input).hex()},
    ]
    entries = [entry for entry in scene.entries(planned.plan_id) if entry.kind.startswith("plan.replan_")]
    assert [entry.task_id for entry in entries] == [first, first, second, second, first, first]
    assert {entry.actor for entry in entries} == {"planner"}


# What the sweep repairs.


def test_a_lost_message_to_the_planner_is_sent_again(scene: Scene) -> None:
    planned = scene.asked()
    assert planned.wave not in scene.world.sweep.unreplanned(), "it is under way"
    scene.pass_time(3)
    assert planned.wave in scene.world.sweep.unreplanned()
    assert planned.wave not in scene.world.sweep.unreplanned(), "once in a while"
    scene.pass_time(11)
    assert planned.wave in scene.world.sweep.unreplanned()


def test_no_message_is_sent_while_the_planner_works(scene: Scene) -> None:
    planned = scene.asked()
    begun(scene, planned.wave)
    scene.pass_time(3)
    assert planned.wave not in scene.world.sweep.unreplanned()
    scene.pass_time(61)
    assert planned.wave in scene.world.sweep.unreplanned(), "its process was ended"


def test_what_waits_behind_the_planner_s_work_is_sent_to_another_after_a_while(scene: Scene) -> None:
    planned = scene.asked(2)
    begun(scene, planned.wave)
    scene.pass_time(3)
    assert planned.wave not in scene.world.sweep.unreplanned()
    scene.pass_time(8)
    assert planned.wave in scene.world.sweep.unreplanned()
    assert begun(scene, planned.wave)[0].denied.task_id == planned.ids[1]


def test_a_broker_that_forgot_is_told_again_at_once(scene: Scene) -> None:
    planned = scene.asked()
    scene.world.sweep.forget("another epoch")
    assert planned.wave in scene.world.sweep.unreplanned()


def test_a_resumed_plan_is_asked_about(scene: Scene) -> None:
    planned = scene.asked()
    scene.pause(planned.plan_id)
    scene.pass_time(3)
    assert planned.wave not in scene.world.sweep.unreplanned()
    scene.resume(planned.plan_id)
    assert planned.wave in scene.world.sweep.unreplanned()
    assert begun(scene, planned.wave)


def test_a_lost_message_to_the_judge_of_what_was_given_up_is_sent_again(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    scene.world.replans.give_up(planned.wave, planned.ids[0], token, None)
    scene.pass_time(3)
    needs = scene.look_at(planned.wave)
    assert needs is not None
    assert needs.judge
    assert not needs.again


def test_what_waits_for_its_planner_is_not_sent_to_agents_over_and_over(scene: Scene) -> None:
    planned = scene.asked()
    scene.pass_time(64)
    needs = scene.look_at(planned.wave)
    assert needs is not None
    assert (needs.judge, needs.again) == (False, False)


def test_a_retry_of_the_plan_asks_the_planner_too(scene: Scene) -> None:
    planned = scene.asked()
    _, token = begun(scene, planned.wave)
    scene.world.replans.give_up(planned.wave, planned.ids[0], token, None)
    scene.judge(planned.wave, approve)
    again = scene.retry(planned.plan_id, RetryKind.DENIED)
    [copy] = scene.results(again.plan_id)
    wave = scene.wave(again.plan_id)
    scene.send()
    scene.stage(scene.claim(wave, [copy.task_id]), success())
    scene.judge(wave, replan)
    assert begun(scene, wave)[0].denied.depth == 1


def test_a_task_whose_planner_a_process_lacks_is_left_to_another(scene: Scene) -> None:
    planned = scene.asked()
    for planners in ([], ["q"]):
        assert scene.begin_replan(planned.wave, planners=planners)[0] is None
    job, _ = begun(scene, planned.wave)
    assert job.tries == 1
