"""Tasks as workers see them: claiming and staging."""

from datetime import timedelta

import pytest

from chimera.models.record import canonical_json
from chimera.models.work.lease import Renewal
from chimera.models.work.plan import PlanState
from chimera.models.work.result import SuccessOutcome
from chimera.models.work.task import TaskState
from tests.contract.scene import Scene, approve, deny, failure, now_of, retry, success

TEXT = canonical_json(success().model_dump(mode="json"))


def test_a_claimed_task_brings_what_running_it_needs(scene: Scene) -> None:
    planned = scene.plan(1)
    [task] = scene.claim(planned.wave, planned.ids).tasks
    assert (task.task_id, task.skill, task.input) == (planned.ids[0], "echo", '{"text":"hello"}')
    assert (task.attempt, task.timeout_seconds, task.unmet_dependencies, task.trace_id) == (1, 10.0, (), "trace")
    assert scene.states(planned.plan_id) == [TaskState.RUNNING]


def test_tasks_come_in_the_plan_s_order_whatever_was_asked_for(scene: Scene) -> None:
    planned = scene.plan(4)
    assert scene.claim(planned.wave, planned.ids[::-1]).ids == planned.ids


def test_only_the_tasks_that_were_asked_for_are_claimed(scene: Scene) -> None:
    planned = scene.plan(3)
    assert scene.claim(planned.wave, planned.ids[1:2]).ids == planned.ids[1:2]
    assert scene.claim(planned.wave, []).ids == []


def test_a_task_is_claimed_once(scene: Scene) -> None:
    planned = scene.plan(2)
    assert scene.claim(planned.wave, planned.ids[:1]).ids == planned.ids[:1]
    assert scene.claim(planned.wave, planned.ids).ids == planned.ids[1:]
    assert scene.claim(planned.wave, planned.ids).ids == []


def test_a_task_of_another_tenant_is_not_claimed(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1)
    assert stranger.claim(planned.wave.model_copy(update={"tenant_id": stranger.tenant_id}), planned.ids).ids == []
    assert scene.states(planned.plan_id) == [TaskState.QUEUED]


def test_a_task_is_not_claimed_in_another_plan_s_or_wave_s_name(scene: Scene) -> None:
    planned, other = scene.plan(1, 1), scene.plan(1)
    assert scene.claim(other.wave, planned.ids).ids == []
    assert scene.claim(planned.waves[1], planned.ids).ids == planned.ids[1:]
    assert scene.claim(scene.wave(planned.plan_id, 7), planned.ids).ids == []


def test_a_task_that_is_nowhere_is_not_claimed(scene: Scene) -> None:
    planned = scene.plan(1)
    assert scene.claim(planned.wave, [scene.world.clock.new_id()]).ids == []


@pytest.mark.parametrize("end", [PlanState.CANCELLED, PlanState.EXPIRED])
def test_a_task_of_a_plan_that_stops_is_not_claimed(scene: Scene, end: PlanState) -> None:
    planned = scene.plan(1)
    scene.stop(planned.plan_id, end)
    assert scene.claim(planned.wave, planned.ids).ids == []


def test_a_task_past_its_plan_s_deadline_is_not_claimed(scene: Scene) -> None:
    planned = scene.plan(1, deadline=now_of(scene.world) + timedelta(hours=1))
    scene.pass_time(3601)
    assert scene.claim(planned.wave, planned.ids).ids == []


def test_a_task_whose_lease_ran_out_is_claimed_for_another_attempt_when_it_was_taken_back(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(61)
    assert scene.claim(planned.wave, planned.ids).ids == []
    scene.lose(planned.wave)
    [task] = scene.claim(planned.wave, planned.ids).tasks
    assert task.attempt == 2


def test_a_task_without_attempts_left_is_not_claimed(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=2)
    for attempt in (1, 2):
        scene.send()
        [task] = scene.claim(planned.wave, planned.ids, lease_seconds=60).tasks
        assert task.attempt == attempt
        scene.lose(planned.wave)
    assert scene.claim(planned.wave, planned.ids).ids == []


@pytest.mark.parametrize("says", [approve, deny, None], ids=["approved", "denied", "in_review"])
def test_a_task_that_is_done_is_not_claimed(scene: Scene, says: object) -> None:
    planned = scene.plan(1)
    scene.work_off(planned)
    assert scene.claim(planned.wave, planned.ids).ids == []
    scene.judge(planned.wave, says if callable(says) else scene.hitl)
    assert scene.claim(planned.wave, planned.ids).ids == []


def test_a_task_that_was_sent_back_is_claimed_for_another_attempt(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.work_off(planned, failure())
    scene.judge(planned.wave, retry)
    [task] = scene.claim(planned.wave, planned.ids).tasks
    assert task.attempt == 2


def test_a_task_names_the_dependencies_that_were_not_approved(scene: Scene) -> None:
    planned = scene.plan(2, 1, dependent=True)
    scene.work_off(planned)
    denied = planned.ids[0]
    scene.judge(planned.wave, lambda staged: (deny if staged.task_id == denied else approve)(staged))
    [task] = scene.claim(planned.waves[1], planned.ids_of(planned.waves[1])).tasks
    assert task.unmet_dependencies == (denied,)


def test_a_task_whose_dependencies_were_approved_names_none(scene: Scene) -> None:
    planned = scene.plan(2, 1, dependent=True)
    scene.judge(scene.work_off(planned), approve)
    [task] = scene.claim(planned.waves[1], planned.ids_of(planned.waves[1])).tasks
    assert task.unmet_dependencies == ()


def test_a_task_whose_dependencies_are_undecided_may_not_run_whatever_a_message_says(scene: Scene) -> None:
    # A forged or misdirected message changes nothing: run now, the task would be refused for good.
    planned = scene.plan(1, 1, dependent=True)
    assert scene.claim(planned.waves[1], planned.ids_of(planned.waves[1])).ids == []
    assert scene.states(planned.plan_id) == [TaskState.QUEUED, TaskState.QUEUED]


def test_a_result_is_staged_once(scene: Scene) -> None:
    planned = scene.plan(2)
    claim = scene.claim(planned.wave, planned.ids)
    assert scene.stage(claim, success("first")) == 2
    assert scene.stage(claim, success("second")) == 0
    assert {_output(scene, number) for number in (0, 1)} == {"first"}


def test_a_result_under_another_token_is_dropped(scene: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids)
    [task] = claim.tasks
    other = scene.world.clock.new_id()
    results = [scene.result(task.task_id, task.attempt, TEXT)]
    assert scene.world.work.stage(planned.wave, scene.agent_id, other, results) == 0
    assert scene.states(planned.plan_id) == [TaskState.RUNNING]


def test_a_result_of_a_lost_lease_is_dropped_and_the_others_are_kept(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    lost = scene.claim(planned.wave, planned.ids[:1], lease_seconds=60)
    held = scene.claim(planned.wave, planned.ids[1:], lease_seconds=600)
    scene.lose(planned.wave)
    again = scene.claim(planned.wave, planned.ids[:1])
    assert scene.stage(lost, success("lost")) == 0
    assert scene.stage(held, success("held")) == 1
    assert scene.stage(again, success("again")) == 1
    assert [_output(scene, number) for number in (0, 1)] == ["again", "held"]


def test_the_same_results_staged_again_are_stored_once(scene: Scene) -> None:
    # The answer to the first staging may have been lost on its way.
    planned = scene.plan(2)
    claim = scene.claim(planned.wave, planned.ids)
    assert scene.stage(claim, success("same")) == 2
    assert scene.stage(claim, success("same")) == 2
    assert scene.states(planned.plan_id) == [TaskState.STAGED] * 2


def test_a_lease_is_renewed_by_its_token_while_the_plan_goes_on(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=60)
    for _ in range(3):
        scene.pass_time(50)
        assert scene.world.work.renew(planned.wave, claim.token, 60) == Renewal(held=True, may_start=True)
    scene.world.control.pause(scene.tenant_id, planned.plan_id, "ann")
    assert scene.world.work.renew(planned.wave, claim.token, 60) == Renewal(held=True, may_start=False)
    lost = Renewal(held=False, may_start=False)
    assert scene.world.work.renew(planned.wave, scene.world.clock.new_id(), 60) == lost
    scene.stop(planned.plan_id)
    assert scene.world.work.renew(planned.wave, claim.token, 60) == lost


def test_a_task_that_was_not_started_is_given_back_with_its_attempt(scene: Scene) -> None:
    planned = scene.plan(3)
    claim = scene.claim(planned.wave, planned.ids)
    scene.world.work.release(planned.wave, scene.world.clock.new_id(), planned.ids)
    assert scene.states(planned.plan_id) == [TaskState.RUNNING] * 3
    scene.world.work.release(planned.wave, claim.token, planned.ids[1:])
    assert scene.states(planned.plan_id) == [TaskState.RUNNING, TaskState.QUEUED, TaskState.QUEUED]
    assert [task.attempt for task in scene.claim(planned.wave, planned.ids).tasks] == [1, 1]


def test_a_result_that_comes_late_counts_while_nobody_took_the_lease(scene: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(61)
    assert scene.stage(claim) == 1


def test_a_result_of_another_attempt_is_dropped_and_the_lease_stays(scene: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids)
    wrong = [scene.result(planned.ids[0], 2, TEXT)]
    assert scene.world.work.stage(planned.wave, scene.agent_id, claim.token, wrong) == 0
    assert scene.stage(claim) == 1


def test_a_result_is_not_staged_in_another_tenant_s_name(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids)
    theirs = planned.wave.model_copy(update={"tenant_id": stranger.tenant_id})
    results = [scene.result(planned.ids[0], 1, TEXT)]
    assert scene.world.work.stage(theirs, stranger.agent_id, claim.token, results) == 0
    assert scene.stage(claim) == 1


def test_no_results_are_staged_as_none(scene: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids)
    assert scene.world.work.stage(planned.wave, scene.agent_id, claim.token, []) == 0


def test_a_result_made_while_the_plan_stopped_is_still_taken(scene: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids)
    scene.stop(planned.plan_id)
    assert scene.stage(claim) == 1


def test_a_result_after_its_task_was_closed_is_dropped(scene: Scene) -> None:
    planned = scene.plan(1)
    claim = scene.claim(planned.wave, planned.ids)
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert scene.stage(claim) == 0


@pytest.mark.parametrize(
    "output",
    ["ü \u2028 \U0001f600", "a\x00b", "\ud800", [[[]]], None, {"": {"a b": 1e308}}, 10**30],
    ids=["unicode", "nul", "surrogate", "lists", "null", "keys", "big"],
)
def test_any_json_output_comes_back_as_it_was(scene: Scene, output: object) -> None:
    planned = scene.plan(1)
    text = canonical_json({"kind": "success", "output": output, "confidence": 0.9})
    claim = scene.claim(planned.wave, planned.ids)
    results = [scene.result(planned.ids[0], 1, text)]
    assert scene.world.work.stage(planned.wave, scene.agent_id, claim.token, results) == 1
    assert _output(scene, 0) == output


def _output(scene: Scene, number: int) -> object:
    [plan] = scene.world.plans.list_plans(scene.tenant_id, 1)
    outcome = scene.results(plan.plan_id)[number].outcome
    assert isinstance(outcome, SuccessOutcome)
    return outcome.output


def test_tasks_of_another_skill_are_not_claimed(scene: Scene) -> None:
    planned = scene.plan(2)
    assert scene.claim(planned.wave, planned.ids, skills=["shout"]).ids == []
    assert scene.claim(planned.wave, planned.ids, skills=[]).ids == []
    assert scene.states(planned.plan_id) == [TaskState.QUEUED] * 2
    assert [task.attempt for task in scene.claim(planned.wave, planned.ids, skills=["shout", "echo"]).tasks] == [1, 1]


def test_what_is_given_back_says_which_skills_are_lacking(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    assert scene.give_back(planned, ["shout"]) == ["echo"]
    assert scene.give_back(planned, []) == ["echo"]
    assert scene.give_back(planned, ["echo"]) == []
    scene.claim(planned.wave, planned.ids)
    assert scene.give_back(planned, ["shout"]) == [], "they do not wait any more"


def test_nothing_of_another_tenant_is_given_back(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1)
    wave = planned.wave.model_copy(update={"tenant_id": stranger.tenant_id})
    assert stranger.world.work.give_back(wave, planned.ids, []) == []
