"""Stopping, pausing, resuming, and trying again."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from chimera.errors import Conflict, NothingToRetry, PlanAlreadyEnded, PlanNotFound
from chimera.models.gate.review import CardStatus
from chimera.models.work.plan import PlanChange, PlanFailure, PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.task import TaskState
from chimera.models.work.wave import Wave
from chimera.ports.plan_store import PlanningJob
from tests.contract.scene import PLANNERS, Planned, Scene, approve, deny, failure, now_of, retry

FAILED, DENIED, STOPPED = RetryKind.FAILED, RetryKind.DENIED, RetryKind.STOPPED
FAILURE = PlanFailure(code="planner_raised", message="ValueError: no")


def begun(scene: Scene, plan_id: UUID) -> PlanningJob | None:
    return scene.world.plans.begin_planning(scene.tenant_id, plan_id, scene.world.clock.new_id(), 60, PLANNERS)


def waiting_tenants(scene: Scene) -> bool:
    return scene.tenant_id in scene.world.sweep.waiting_tenants()


def unplanned(scene: Scene, plan_id: UUID) -> bool:
    return plan_id in [plan.plan_id for plan in scene.world.sweep.unplanned()]


# Stopping.


def test_a_plan_without_tasks_stops_at_once(scene: Scene) -> None:
    plan_id = scene.submit()
    assert scene.stop(plan_id) is PlanState.CANCELLED
    plan = scene.shown(plan_id)
    assert plan.state is PlanState.CANCELLED
    assert plan.finished_at is not None
    assert scene.kinds(plan_id) == ["plan.submitted", "plan.cancelled_asked", "plan.cancelled"]


def test_who_stops_a_plan_is_on_record(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.world.control.stop(scene.tenant_id, plan_id, PlanState.CANCELLED, "ann")
    assert {entry.actor for entry in scene.entries(plan_id)[1:]} == {"ann"}


def test_stopping_takes_the_planner_s_lease(scene: Scene) -> None:
    plan_id = scene.submit()
    token = scene.begin(plan_id)
    assert scene.stop(plan_id, PlanState.EXPIRED) is PlanState.EXPIRED
    assert not scene.world.plans.save_tasks(scene.tenant_id, plan_id, token, [], [])
    assert scene.world.plans.begin_planning(scene.tenant_id, plan_id, token, 60, PLANNERS) is None


def test_a_running_plan_stops_when_its_tasks_are_closed(scene: Scene) -> None:
    planned = scene.plan(1)
    assert scene.stop(planned.plan_id) is PlanState.STOPPING
    assert scene.shown(planned.plan_id).finished_at is None
    assert scene.kinds(planned.plan_id)[-1] == "plan.cancelled_asked"


def test_a_plan_in_review_can_be_stopped(scene: Scene) -> None:
    planned, _ = scene.in_review()
    assert scene.stop(planned.plan_id) is PlanState.STOPPING


def test_stopping_twice_is_once(scene: Scene) -> None:
    submitted, planned = scene.submit(), scene.plan(1)
    for plan_id, state in ((submitted, PlanState.CANCELLED), (planned.plan_id, PlanState.STOPPING)):
        scene.stop(plan_id)
        kinds = scene.kinds(plan_id)
        assert scene.stop(plan_id) is state
        assert scene.kinds(plan_id) == kinds


def test_a_plan_that_stops_one_way_does_not_stop_another(scene: Scene) -> None:
    submitted, planned = scene.submit(), scene.plan(1)
    for plan_id in (submitted, planned.plan_id):
        scene.stop(plan_id, PlanState.CANCELLED)
        with pytest.raises(PlanAlreadyEnded):
            scene.stop(plan_id, PlanState.EXPIRED)


def test_a_plan_that_ended_is_not_stopped(scene: Scene) -> None:
    completed, failed = scene.submit(), scene.submit()
    scene.world.plans.save_tasks(scene.tenant_id, completed, scene.begin(completed), [], [])
    scene.world.plans.fail_plan(scene.tenant_id, failed, scene.begin(failed), FAILURE)
    for plan_id in (completed, failed):
        with pytest.raises(PlanAlreadyEnded):
            scene.stop(plan_id)


# Pausing.


def test_a_paused_plan_keeps_its_state_and_says_since_when(scene: Scene) -> None:
    planned = scene.plan(1)
    change = scene.pause(planned.plan_id)
    assert (change.plan_id, change.state, change.paused) == (planned.plan_id, PlanState.RUNNING, True)
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.paused_by, plan.standing) == (PlanState.RUNNING, "ann", "running (paused)")
    assert plan.paused_at is not None
    assert abs(plan.paused_at - now_of(scene.world)) < timedelta(minutes=1)
    [entry] = scene.entries(planned.plan_id)[2:]
    assert (entry.kind, entry.actor) == ("plan.paused", "ann")


def test_pausing_twice_is_once(scene: Scene) -> None:
    planned = scene.plan(1)
    first = scene.pause(planned.plan_id)
    before = scene.shown(planned.plan_id)
    assert scene.pause(planned.plan_id) == first
    assert scene.shown(planned.plan_id) == before
    assert scene.kinds(planned.plan_id).count("plan.paused") == 1


def test_no_task_of_a_paused_plan_is_claimed(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.claim(planned.wave, planned.ids[:1], lease_seconds=60)
    scene.pause(planned.plan_id)
    assert scene.claim(planned.wave, planned.ids).ids == []
    scene.lose(planned.wave)
    assert scene.claim(planned.wave, planned.ids).ids == [], "nor one whose agent died"
    scene.resume(planned.plan_id)
    assert scene.claim(planned.wave, planned.ids[:1]).ids == planned.ids[:1]
    assert scene.claim(planned.wave, planned.ids).ids == planned.ids[1:]


def test_no_wave_of_a_paused_plan_goes_out(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    assert len(scene.send(window=1)) == 1
    scene.pause(planned.plan_id)
    assert not waiting_tenants(scene)
    assert scene.send() == []
    scene.resume(planned.plan_id)
    assert waiting_tenants(scene)
    assert set(scene.send()) == set(planned.waves)


def test_a_wave_that_was_taken_and_not_sent_stays_while_its_plan_is_paused(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.world.waves.take_next(scene.tenant_id, 8)
    scene.pause(planned.plan_id)
    scene.pass_time(60)
    assert scene.send() == []
    assert not waiting_tenants(scene)
    scene.resume(planned.plan_id)
    assert scene.send() == [planned.wave]


def test_a_paused_plan_leaves_its_room_to_others(scene: Scene) -> None:
    paused = scene.plan(1)
    scene.send(window=1)
    scene.pause(paused.plan_id)
    other = scene.plan(1)
    assert scene.send(window=1) == [other.wave]


def test_what_ran_when_it_was_paused_is_staged_and_gated(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids[:1])
    scene.pause(planned.plan_id)
    assert scene.stage(claim) == 1
    scene.judge(planned.wave, approve)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED, TaskState.QUEUED]


def test_what_is_sent_back_while_paused_waits_for_the_resume(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.work_off(planned, failure())
    scene.pause(planned.plan_id)
    scene.judge(planned.wave, retry)
    assert scene.send() == []
    scene.resume(planned.plan_id)
    assert scene.send() == [planned.wave]
    assert scene.claim(planned.wave, planned.ids).tasks[0].attempt == 2


def test_a_plan_may_end_while_it_is_paused(scene: Scene) -> None:
    planned = scene.plan(1)
    wave = scene.work_off(planned)
    scene.pause(planned.plan_id)
    scene.judge(wave, approve)
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.paused, plan.paused_by) == (PlanState.COMPLETED, False, None)


def test_people_decide_while_a_plan_is_paused(scene: Scene) -> None:
    planned, [first, second] = scene.in_review(2)
    scene.pause(planned.plan_id)
    assert {card.status for card in scene.cards(planned.plan_id)} == {CardStatus.PENDING}
    scene.decide(first, approve=True)
    scene.decide(second, approve=False, note="no")
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_the_sweep_judges_a_paused_plan_s_wave_and_sends_nothing_of_it(scene: Scene) -> None:
    planned = scene.plan(3, max_attempts=2)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.claim(planned.wave, planned.ids[1:2], lease_seconds=60)
    scene.pause(planned.plan_id)
    for _ in range(2):  # looked at once, it is looked at again
        scene.pass_time(120)
        assert planned.wave in scene.world.sweep.untouched_waves()
        overdue = scene.look_at(planned.wave)
        assert overdue is not None
        assert (overdue.judge, overdue.again) == (True, False)
    assert scene.states(planned.plan_id) == [TaskState.STAGED, TaskState.QUEUED, TaskState.QUEUED]
    scene.resume(planned.plan_id)
    assert scene.send() == [planned.wave]


def test_no_planner_of_a_paused_plan_starts(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.pause(plan_id)
    scene.pass_time(60)
    assert not unplanned(scene, plan_id)
    assert begun(scene, plan_id) is None
    scene.resume(plan_id)
    assert begun(scene, plan_id)


def test_a_planner_that_died_is_not_replaced_while_its_plan_is_paused(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.begin(plan_id, lease_seconds=60)
    scene.pause(plan_id)
    scene.pass_time(64)
    assert not unplanned(scene, plan_id)
    assert begun(scene, plan_id) is None
    scene.resume(plan_id)
    assert unplanned(scene, plan_id)


def test_a_planner_that_runs_may_store_its_tasks(scene: Scene) -> None:
    plan_id = scene.submit()
    token = scene.begin(plan_id)
    scene.pause(plan_id)
    [planned] = [scene.task(plan_id)]
    assert scene.world.plans.save_tasks(scene.tenant_id, plan_id, token, [Wave(wave_no=0, task_count=1)], [planned])
    assert scene.shown(plan_id).standing == "running (paused)"
    assert scene.send() == []


@pytest.mark.parametrize("end", [PlanState.CANCELLED, PlanState.EXPIRED])
def test_a_paused_plan_can_be_stopped_with_its_cards(scene: Scene, end: PlanState) -> None:
    planned, _ = scene.in_review(2)
    scene.pause(planned.plan_id)
    assert scene.stop(planned.plan_id, end) is PlanState.STOPPING
    assert not scene.shown(planned.plan_id).paused
    scene.stop_wave(planned.wave)
    assert {str(card.status) for card in scene.cards(planned.plan_id)} == {str(end)}
    assert scene.state(planned.plan_id) is end


def test_the_deadline_of_a_paused_plan_goes_on(scene: Scene) -> None:
    planned = scene.plan(1, deadline=now_of(scene.world) + timedelta(hours=1))
    scene.pause(planned.plan_id)
    scene.pass_time(3601)
    assert planned.plan_id in [plan.plan_id for plan in scene.world.sweep.expire_plans()]
    assert scene.state(planned.plan_id) is PlanState.STOPPING


def test_what_stops_or_has_ended_is_neither_paused_nor_resumed(scene: Scene) -> None:
    completed, cancelled, stopping = scene.submit(), scene.submit(), scene.plan(1).plan_id
    scene.world.plans.save_tasks(scene.tenant_id, completed, scene.begin(completed), [], [])
    scene.pause(cancelled)
    for plan_id in (cancelled, stopping):
        scene.stop(plan_id)
    for plan_id in (completed, cancelled, stopping):
        with pytest.raises(PlanAlreadyEnded):
            scene.pause(plan_id)
        with pytest.raises(PlanAlreadyEnded):
            scene.resume(plan_id)


def test_a_plan_that_is_not_there_or_another_tenant_s_is_not_found(scene: Scene, stranger: Scene) -> None:
    planned = stranger.plan(1)
    for plan_id in (planned.plan_id, scene.world.clock.new_id()):
        with pytest.raises(PlanNotFound):
            scene.pause(plan_id)
        with pytest.raises(PlanNotFound):
            scene.resume(plan_id)
        with pytest.raises(PlanNotFound):
            scene.retry(plan_id, FAILED)
    assert not stranger.shown(planned.plan_id).paused


# Resuming.


def test_resuming_what_is_not_paused_is_nothing(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    change = scene.resume(planned.plan_id)
    assert (change.state, change.paused) == (PlanState.RUNNING, False)
    assert scene.kinds(planned.plan_id) == ["plan.submitted", "plan.planned"]
    assert not waiting_tenants(scene), "what was sent is not sent again"


def test_resuming_sends_the_waves_whose_messages_were_spent_and_no_others(scene: Scene) -> None:
    planned = scene.plan(1, 1, 1)
    scene.send()
    scene.claim(planned.waves[0], planned.ids[:1])
    scene.pause(planned.plan_id)
    scene.resume(planned.plan_id)
    assert scene.send() == list(planned.waves[1:])
    assert scene.kinds(planned.plan_id)[-2:] == ["plan.paused", "plan.resumed"]
    assert not scene.shown(planned.plan_id).paused


def test_a_resumed_plan_s_planner_is_as_good_as_asked_for(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.pause(plan_id)
    scene.pass_time(60)
    scene.resume(plan_id)
    assert not unplanned(scene, plan_id)
    scene.pass_time(11)
    assert unplanned(scene, plan_id), "if that message was lost"


# A session's plans, or all.


def test_a_session_s_open_plans_are_changed_and_no_others(scene: Scene, stranger: Scene) -> None:
    inside = [scene.submit(session_id="s"), scene.plan(1, session_id="s").plan_id]
    outside = [scene.submit(), scene.submit(session_id="t"), stranger.submit(session_id="s")]
    ended = scene.submit(session_id="s")
    scene.stop(ended)
    control, tenant_id = scene.world.control, scene.tenant_id

    paused = control.pause_open(tenant_id, "s", "ann", 10)
    assert [(change.plan_id, change.paused) for change in paused] == [(plan_id, True) for plan_id in inside]
    assert control.pause_open(tenant_id, "s", "ann", 10) == []
    resumed = control.resume_open(tenant_id, "s", "ann", 10)
    assert [(change.plan_id, change.paused) for change in resumed] == [(plan_id, False) for plan_id in inside]
    assert control.resume_open(tenant_id, "s", "ann", 10) == []
    stopped = control.stop_open(tenant_id, "s", PlanState.CANCELLED, "ann", 10)
    assert [(change.plan_id, change.state) for change in stopped] == [
        (inside[0], PlanState.CANCELLED),
        (inside[1], PlanState.STOPPING),
    ]
    assert control.stop_open(tenant_id, "s", PlanState.CANCELLED, "ann", 10) == []
    assert [scene.state(plan_id) for plan_id in outside[:2]] == [PlanState.SUBMITTED] * 2
    assert stranger.state(outside[2]) is PlanState.SUBMITTED


def test_all_of_a_tenant_s_open_plans_are_changed_a_page_at_a_time(scene: Scene) -> None:
    plans = [scene.submit(session_id=session) for session in ("s", None, "t")]
    control, tenant_id = scene.world.control, scene.tenant_id
    changes: list[Callable[[], list[PlanChange]]] = [
        lambda: control.pause_open(tenant_id, None, "ann", 2),
        lambda: control.resume_open(tenant_id, None, "ann", 2),
        lambda: control.stop_open(tenant_id, None, PlanState.CANCELLED, "ann", 2),
    ]
    for change in changes:
        assert [[each.plan_id for each in change()] for _ in range(3)] == [plans[:2], plans[2:], []]


def test_each_plan_that_is_changed_with_others_is_on_record(scene: Scene) -> None:
    submitted, planned = scene.submit(), scene.plan(1).plan_id
    control, tenant_id = scene.world.control, scene.tenant_id
    control.pause_open(tenant_id, None, "ann", 10)
    control.resume_open(tenant_id, None, "bob", 10)
    control.stop_open(tenant_id, None, PlanState.CANCELLED, "cyd", 10)
    told = ["plan.paused", "plan.resumed", "plan.cancelled_asked"]
    assert scene.kinds(submitted)[1:] == [*told, "plan.cancelled"]
    assert scene.kinds(planned)[2:] == told
    assert [entry.actor for entry in scene.entries(planned)[2:]] == ["ann", "bob", "cyd"]


def test_what_waits_in_plans_that_are_resumed_together_is_sent(scene: Scene) -> None:
    plans = [scene.plan(1), scene.plan(1)]
    scene.send()
    scene.world.control.pause_open(scene.tenant_id, None, "ann", 10)
    scene.world.control.resume_open(scene.tenant_id, None, "ann", 10)
    assert set(scene.send()) == {planned.wave for planned in plans}


def test_a_plan_that_stops_with_others_takes_the_planner_s_lease(scene: Scene) -> None:
    plan_id = scene.submit()
    token = scene.begin(plan_id)
    scene.world.control.stop_open(scene.tenant_id, None, PlanState.CANCELLED, "ann", 10)
    assert not scene.world.plans.save_tasks(scene.tenant_id, plan_id, token, [], [])


# Trying again.


def ended(scene: Scene, **fields: object) -> Planned:
    """A plan of four tasks: one approved, one exhausted, one denied, one cancelled or in review."""
    planned = scene.plan(4, max_attempts=1, **fields)  # type: ignore[arg-type]
    scene.send()
    approved, exhausted, denied, _ = planned.ids
    scene.claim(planned.wave, [exhausted], lease_seconds=60)
    for task_id, says in ((approved, approve), (denied, deny)):
        scene.stage(scene.claim(planned.wave, [task_id]))
        scene.judge(planned.wave, says)
    scene.pass_time(64)
    scene.judge(planned.wave, approve)  # gives up the one whose agent is gone
    return planned


def stopped(scene: Scene, **fields: object) -> Planned:
    planned = ended(scene, **fields)
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [
        TaskState.APPROVED,
        TaskState.EXHAUSTED,
        TaskState.DENIED,
        TaskState.CANCELLED,
    ]
    return planned


@pytest.mark.parametrize(
    ("kinds", "places"),
    [((FAILED,), [1]), ((DENIED,), [2]), ((STOPPED,), [3]), ((FAILED, DENIED, STOPPED), [1, 2, 3])],
)
def test_what_ended_so_is_tried_again_in_a_new_plan(
    scene: Scene, kinds: tuple[RetryKind, ...], places: list[int]
) -> None:
    planned = stopped(scene)
    retried = scene.retry(planned.plan_id, *kinds)
    assert (retried.created, retried.state, retried.left_out) == (True, PlanState.RUNNING, 0)
    assert retried.tasks == len(places)
    assert retried.retry_of == planned.plan_id
    results = scene.results(retried.plan_id)
    assert [(result.ordinal, result.state, result.attempt) for result in results] == [
        (ordinal, TaskState.QUEUED, 0) for ordinal in range(len(places))
    ]
    assert {result.task_id for result in results}.isdisjoint(planned.ids)
    assert scene.states(planned.plan_id)[1:] == [TaskState.EXHAUSTED, TaskState.DENIED, TaskState.CANCELLED]
    [wave] = scene.send()
    assert wave.plan_id == retried.plan_id


def test_a_retry_is_a_plan_like_the_one_it_tries_again(scene: Scene) -> None:
    deadline = now_of(scene.world) + timedelta(hours=1)
    planned = stopped(
        scene, session_id="s", planner="triage", goal="sort", priority=70, trace_id="t", deadline=deadline
    )
    retried = scene.retry(planned.plan_id, FAILED)
    old, new = scene.shown(planned.plan_id), scene.shown(retried.plan_id)
    same = ("session_id", "planner", "goal", "priority", "trace_id")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.retry_of, new.deadline, new.state) == (planned.plan_id, None, PlanState.RUNNING)
    assert (new.counts.tasks, new.counts.open) == (1, 1)
    later = deadline + timedelta(hours=1)
    assert scene.shown(scene.retry(planned.plan_id, DENIED, deadline=later).plan_id).deadline == later


def test_a_retried_task_is_as_it_was(scene: Scene) -> None:
    planned = stopped(scene, state_key="k")
    retried = scene.retry(planned.plan_id, FAILED)
    [wave] = scene.send()
    [outgoing] = [result.task_id for result in scene.results(retried.plan_id)]
    [task] = scene.claim(wave, [outgoing]).tasks
    assert (task.skill, task.input, task.timeout_seconds, task.attempt) == ("echo", '{"text":"hello"}', 10.0, 1)
    scene.pass_time(64)
    assert scene.claim(wave, [outgoing]).ids == [], "it has as many attempts"


def test_a_retry_is_on_record(scene: Scene) -> None:
    planned = stopped(scene)
    retried = scene.retry(planned.plan_id, FAILED, STOPPED)
    assert scene.kinds(retried.plan_id) == ["plan.submitted", "plan.planned"]
    submitted, _ = scene.entries(retried.plan_id)
    facts = submitted.facts or {}
    assert (submitted.actor, facts["retry_of"]) == ("ann", planned.plan_id.hex)
    assert facts["retried"] == ["failed", "stopped"]
    assert scene.shown(retried.plan_id).first_audit_seq == submitted.seq


def test_the_same_retry_is_the_same_plan(scene: Scene) -> None:
    planned = stopped(scene)
    first = scene.retry(planned.plan_id, FAILED)
    again = scene.retry(planned.plan_id, FAILED)
    assert (again.plan_id, again.created, again.tasks) == (first.plan_id, False, 1)
    more = scene.retry(planned.plan_id, FAILED, DENIED)
    assert more.created
    assert len(scene.results(more.plan_id)) == 1, "what is tried again already is left to that plan"
    assert scene.retry(planned.plan_id, DENIED).plan_id == more.plan_id
    assert scene.retry(planned.plan_id, FAILED).plan_id in {first.plan_id, more.plan_id}


def test_a_retry_that_failed_is_tried_again_itself(scene: Scene) -> None:
    planned = stopped(scene)
    first = scene.retry(planned.plan_id, FAILED)
    scene.stop(first.plan_id)
    scene.stop_wave(scene.wave(first.plan_id))
    second = scene.retry(first.plan_id, STOPPED)
    assert second.created
    assert scene.shown(second.plan_id).retry_of == first.plan_id


def test_a_retry_completes_like_any_plan(scene: Scene) -> None:
    planned = stopped(scene)
    retried = scene.retry(planned.plan_id, FAILED, DENIED)
    [wave] = scene.send()
    scene.stage(scene.claim(wave, [result.task_id for result in scene.results(retried.plan_id)]))
    scene.judge(wave, approve)
    assert scene.state(retried.plan_id) is PlanState.COMPLETED
    assert len(scene.world.committed(scene.tenant_id)) == 3


def test_a_plan_in_review_is_tried_again_as_far_as_it_has_ended(scene: Scene) -> None:
    planned = ended(scene)
    scene.stage(scene.claim(planned.wave, planned.ids[3:]))
    scene.judge(planned.wave, scene.hitl)
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW
    assert scene.retry(planned.plan_id, DENIED).created
    [card] = scene.cards(planned.plan_id)
    scene.decide(card, approve=False, note="no")
    more = scene.retry(planned.plan_id, DENIED)
    assert (more.created, len(scene.results(more.plan_id))) == (True, 1), "what was denied since"


def test_a_plan_with_open_tasks_is_not_tried_again(scene: Scene) -> None:
    running, stopping = ended(scene), ended(scene)
    scene.stop(stopping.plan_id)
    for plan_id in (running.plan_id, stopping.plan_id, scene.submit()):
        with pytest.raises(Conflict):
            scene.retry(plan_id, FAILED)
    assert scene.world.control.retryable(scene.tenant_id, None, frozenset(RetryKind), UUID(int=0), 10) == []


def test_nothing_to_try_again_is_told(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.judge(scene.work_off(planned), approve)
    with pytest.raises(NothingToRetry, match=f"nothing of plan pl_{planned.plan_id.hex} is denied or failed"):
        scene.retry(planned.plan_id, FAILED, DENIED)
    other = stopped(scene)
    scene.retry(other.plan_id, FAILED)
    empty = scene.submit()
    scene.world.plans.save_tasks(scene.tenant_id, empty, scene.begin(empty), [], [])
    with pytest.raises(NothingToRetry):
        scene.retry(empty, *RetryKind)


def test_a_plan_whose_planner_failed_is_submitted_again(scene: Scene) -> None:
    plan_id = scene.submit(inputs={"n": 7}, session_id="s")
    scene.world.plans.fail_plan(scene.tenant_id, plan_id, scene.begin(plan_id), FAILURE)
    with pytest.raises(NothingToRetry):
        scene.retry(plan_id, DENIED, STOPPED)
    retried = scene.retry(plan_id, FAILED)
    assert (retried.created, retried.state) == (True, PlanState.SUBMITTED)
    plan = scene.shown(retried.plan_id)
    assert (plan.retry_of, plan.session_id, plan.failure) == (plan_id, "s", None)
    assert scene.kinds(retried.plan_id) == ["plan.submitted"]
    job = begun(scene, retried.plan_id)
    assert job is not None
    assert job.inputs == '{"n":7}'
    again = scene.retry(plan_id, FAILED)
    assert (again.plan_id, again.created) == (retried.plan_id, False)


def test_a_plan_that_was_stopped_before_it_was_planned_is_submitted_again(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.stop(plan_id)
    with pytest.raises(NothingToRetry):
        scene.retry(plan_id, FAILED)
    assert scene.retry(plan_id, STOPPED).state is PlanState.SUBMITTED


# Trying again what depends on others.


def test_dependencies_are_those_among_the_retried(scene: Scene) -> None:
    planned = scene.plan(1, 1, 1, dependent=True, max_attempts=1)
    scene.judge(scene.work_off(planned), approve)
    scene.stop(planned.plan_id)
    for wave in planned.waves:
        scene.stop_wave(wave)
    retried = scene.retry(planned.plan_id, STOPPED)
    assert len(scene.results(retried.plan_id)) == 2
    assert [wave.wave_no for wave in scene.send()] == [0], "the second waits for the first"
    second, third = scene.results(retried.plan_id)
    scene.stage(scene.claim(scene.wave(retried.plan_id), [second.task_id]))
    scene.judge(scene.wave(retried.plan_id), approve)
    [wave] = scene.send()
    [task] = scene.claim(wave, [third.task_id]).tasks
    assert task.unmet_dependencies == ()


def refused(scene: Scene) -> Planned:
    """A plan whose first task was denied, and whose second was refused for that."""
    planned = scene.plan(1, 1, dependent=True, max_attempts=1)
    scene.judge(scene.work_off(planned), deny)
    scene.send()
    scene.claim(planned.waves[1], planned.ids[1:], lease_seconds=60)
    scene.pass_time(64)
    scene.judge(planned.waves[1], approve)
    assert scene.states(planned.plan_id) == [TaskState.DENIED, TaskState.EXHAUSTED]
    return planned


def test_a_task_that_could_only_be_refused_again_is_left_out(scene: Scene) -> None:
    planned = refused(scene)
    with pytest.raises(NothingToRetry, match=r"is failed \(tasks: 1\) depends on tasks that were not approved"):
        scene.retry(planned.plan_id, FAILED)
    retried = scene.retry(planned.plan_id, FAILED, DENIED)
    assert (retried.left_out, len(scene.results(retried.plan_id))) == (0, 2)


def test_a_dependency_that_was_approved_when_tried_again_is_met(scene: Scene) -> None:
    planned = refused(scene)
    first = scene.retry(planned.plan_id, DENIED)
    with pytest.raises(NothingToRetry):
        scene.retry(planned.plan_id, FAILED)
    [wave] = scene.send()
    scene.stage(scene.claim(wave, [scene.results(first.plan_id)[0].task_id]))
    scene.judge(wave, approve)
    second = scene.retry(planned.plan_id, FAILED)
    assert second.created
    [wave] = scene.send()
    [task] = scene.claim(wave, [scene.results(second.plan_id)[0].task_id]).tasks
    assert task.unmet_dependencies == ()


def test_what_is_left_out_is_told(scene: Scene) -> None:
    planned = scene.plan(2, 1, dependent=True, max_attempts=1)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.judge(planned.wave, deny)
    scene.claim(planned.wave, planned.ids[1:2], lease_seconds=60)
    scene.pass_time(64)
    scene.judge(planned.wave, approve)
    scene.send()
    scene.claim(planned.waves[1], planned.ids[2:], lease_seconds=60)
    scene.pass_time(64)
    scene.judge(planned.waves[1], approve)
    retried = scene.retry(planned.plan_id, FAILED)
    assert (retried.created, retried.left_out) == (True, 1)
    assert len(scene.results(retried.plan_id)) == 1


def test_many_tasks_are_laid_out_in_waves_anew(scene: Scene) -> None:
    planned = scene.plan(*[600] * 2)
    scene.stop(planned.plan_id)
    for wave in planned.waves:
        scene.stop_wave(wave)
    retried = scene.retry(planned.plan_id, STOPPED, wave_size=500)
    results = scene.world.plans.results(scene.tenant_id, retried.plan_id, (-1, -1), 10_000)
    assert [result.ordinal for result in results] == list(range(1200))
    assert [sum(result.wave_no == wave_no for result in results) for wave_no in range(3)] == [500, 500, 200]


# Which plans have something to try again.


def test_plans_with_something_to_try_again_come_in_pages(scene: Scene, stranger: Scene) -> None:
    plans = [stopped(scene, session_id="s").plan_id, stopped(scene).plan_id]
    failed, never_planned = scene.submit(session_id="s"), scene.submit()
    scene.world.plans.fail_plan(scene.tenant_id, failed, scene.begin(failed), FAILURE)
    scene.stop(never_planned)
    done = scene.plan(1)
    scene.judge(scene.work_off(done), approve)
    stopped(stranger)

    def found(
        *kinds: RetryKind, session_id: str | None = None, after: UUID = UUID(int=0), limit: int = 10
    ) -> list[UUID]:
        return scene.world.control.retryable(scene.tenant_id, session_id, frozenset(kinds), after, limit)

    assert found(FAILED) == [*plans, failed]
    assert found(DENIED) == plans
    assert found(STOPPED) == [*plans, never_planned]
    assert found(FAILED, session_id="s") == [plans[0], failed]
    assert found(FAILED, limit=2) == plans
    assert found(FAILED, after=plans[1], limit=2) == [failed]


def test_plans_are_listed_by_session(scene: Scene) -> None:
    plan_id, _ = scene.submit(session_id="s"), scene.submit()
    assert [plan.plan_id for plan in scene.world.plans.list_plans(scene.tenant_id, 10, session_id="s")] == [plan_id]


# Trying one task again.


def test_one_task_is_tried_again_and_no_other(scene: Scene) -> None:
    planned = scene.plan(3)
    scene.judge(scene.work_off(planned), deny)
    retried = scene.retry(planned.plan_id, DENIED, task_id=planned.ids[1])
    assert (retried.created, retried.tasks, retried.left_out) == (True, 1, 0)
    [copy] = scene.world.tasks.list_tasks(scene.tenant_id, plan_id=retried.plan_id, limit=9)
    assert copy.parent_task_id == planned.ids[1]


def test_one_task_twice_is_the_same_plan_and_another_is_another(scene: Scene) -> None:
    planned = scene.plan(3)
    scene.judge(scene.work_off(planned), deny)
    first = scene.retry(planned.plan_id, DENIED, task_id=planned.ids[0])
    second = scene.retry(planned.plan_id, DENIED, task_id=planned.ids[1])
    again = scene.retry(planned.plan_id, DENIED, task_id=planned.ids[0])
    assert first.plan_id != second.plan_id
    assert (again.plan_id, again.created) == (first.plan_id, False)
    rest = scene.retry(planned.plan_id, DENIED)
    assert (rest.created, rest.tasks) == (True, 1)


def test_one_task_that_did_not_end_so_is_not_tried_again(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.judge(scene.work_off(planned), approve)
    with pytest.raises(NothingToRetry):
        scene.retry(planned.plan_id, DENIED, FAILED, STOPPED, task_id=planned.ids[0])


def test_one_task_of_a_plan_with_open_tasks_is_not_tried_again(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.judge(planned.wave, deny)
    with pytest.raises(Conflict):
        scene.retry(planned.plan_id, DENIED, task_id=planned.ids[0])


def test_one_task_that_needs_what_was_not_approved_is_left_out(scene: Scene) -> None:
    planned = scene.plan(1, 1, dependent=True)
    scene.judge(scene.work_off(planned), deny)
    scene.judge(scene.work_off(planned, failure("unmet", retryable=False), wave_no=1), deny)
    with pytest.raises(NothingToRetry, match="depends on tasks that were not approved"):
        scene.retry(planned.plan_id, DENIED, task_id=planned.ids[1])
