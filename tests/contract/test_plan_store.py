"""Plans as their submitters see them: submitting, planning, stopping, reading."""

import hashlib
from datetime import timedelta
from uuid import UUID

import pytest

from chimera.errors import DeadlinePassed, IdempotencyConflict, PlanNotFound, UnknownTenant
from chimera.models.audit.entry_filter import EntryFilter
from chimera.models.audit.kinds import AuditKind
from chimera.models.work.plan import PlanFailure, PlanState
from chimera.models.work.task import TaskState
from chimera.models.work.wave import Wave
from tests.conftest import new_tenant_id
from tests.contract.scene import EPOCH, PLANNERS, Scene, approve, failure, now_of, success
from tests.contract.worlds import World

FAILURE = PlanFailure(code="planner_raised", message="ValueError: no")


# Submitting.


def test_a_submitted_plan_is_stored_as_it_was_asked_for(scene: Scene) -> None:
    deadline = now_of(scene.world) + timedelta(hours=1)
    plan_id = scene.submit(
        planner="triage",
        goal="sort them",
        priority=70,
        session_id="s",
        idempotency_key="k",
        deadline=deadline,
        trace_id="t",
    )
    plan = scene.shown(plan_id)
    assert (plan.tenant_id, plan.plan_id, plan.planner) == (scene.tenant_id, plan_id, "triage")
    assert (plan.goal, plan.priority, plan.session_id, plan.trace_id) == ("sort them", 70, "s", "t")
    assert (plan.idempotency_key, plan.deadline, plan.state) == ("k", deadline, PlanState.SUBMITTED)
    assert (plan.counts.tasks, plan.failure, plan.finished_at) == (0, None, None)


def test_submitting_is_audited_and_the_plan_knows_where_its_entries_begin(scene: Scene) -> None:
    plan_id = scene.submit()
    [entry] = scene.entries(plan_id)
    assert (entry.kind, entry.actor, entry.plan_id) == ("plan.submitted", "app", plan_id)
    assert scene.shown(plan_id).first_audit_seq == entry.seq


def test_a_plan_of_an_unknown_tenant_is_refused(world: World) -> None:
    scene = Scene(world, new_tenant_id())
    with pytest.raises(UnknownTenant):
        scene.submit()


def test_two_requests_without_a_key_are_two_plans(scene: Scene) -> None:
    first, second = scene.submitted(), scene.submitted()
    assert first.plan_id != second.plan_id
    assert first.created
    assert second.created


def test_the_same_key_and_request_return_the_first_plan(scene: Scene) -> None:
    first = scene.submitted(idempotency_key="k", trace_id="one")
    second = scene.submitted(idempotency_key="k", trace_id="two")
    assert (first.created, second.created) == (True, False)
    assert second.plan_id == first.plan_id
    assert len(scene.entries(first.plan_id)) == 1


@pytest.mark.parametrize("other", [{"goal": "another"}, {"inputs": {"n": 2}}, {"planner": "another"}, {"priority": 51}])
def test_the_same_key_with_another_request_is_a_conflict(scene: Scene, other: dict[str, object]) -> None:
    scene.submit(idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        scene.submit(idempotency_key="k", **other)
    assert len(scene.world.plans.list_plans(scene.tenant_id, 10)) == 1


def test_a_key_is_one_tenant_s_own(scene: Scene, stranger: Scene) -> None:
    first = scene.submitted(idempotency_key="k", goal="one")
    second = stranger.submitted(idempotency_key="k", goal="two")
    assert second.created
    assert second.plan_id != first.plan_id


def test_a_key_still_finds_its_plan_when_that_has_ended(scene: Scene) -> None:
    first = scene.submit(idempotency_key="k")
    scene.stop(first)
    assert scene.submit(idempotency_key="k") == first


# Planning.


def test_the_planner_gets_what_was_submitted(scene: Scene) -> None:
    plan_id = scene.submit(planner="triage", goal="sort", inputs={"b": [1], "a": "ü"}, priority=7)
    job = scene.world.plans.begin_planning(scene.tenant_id, plan_id, scene.world.clock.new_id(), 60, PLANNERS)
    assert job is not None
    assert (job.planner, job.goal, job.priority, job.attempt) == ("triage", "sort", 7, 1)
    assert job.trace_id == "trace"
    assert job.inputs == r'{"a":"\u00fc","b":[1]}'
    assert scene.state(plan_id) is PlanState.PLANNING


def test_a_plan_is_planned_by_one_at_a_time(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.begin(plan_id)
    assert scene.world.plans.begin_planning(scene.tenant_id, plan_id, scene.world.clock.new_id(), 60, PLANNERS) is None


def test_a_lease_that_ran_out_can_be_taken_and_is_counted(scene: Scene) -> None:
    plan_id = scene.submit()
    for attempt in (1, 2, 3):
        job = scene.world.plans.begin_planning(scene.tenant_id, plan_id, scene.world.clock.new_id(), 60, PLANNERS)
        assert job is not None
        assert job.attempt == attempt
        scene.pass_time(61)


def test_who_lost_the_lease_stores_nothing(scene: Scene) -> None:
    plan_id = scene.submit()
    lost = scene.begin(plan_id, lease_seconds=60)
    scene.pass_time(61)
    held = scene.begin(plan_id)
    plans, tasks = scene.world.plans, [scene.task(plan_id)]
    assert not plans.save_tasks(scene.tenant_id, plan_id, lost, [Wave(wave_no=0, task_count=1)], tasks)
    assert not plans.fail_plan(scene.tenant_id, plan_id, lost, FAILURE)
    assert scene.results(plan_id) == []
    assert scene.state(plan_id) is PlanState.PLANNING
    assert plans.save_tasks(scene.tenant_id, plan_id, held, [Wave(wave_no=0, task_count=1)], tasks)


def test_a_lease_that_ran_out_still_holds_while_nobody_took_it(scene: Scene) -> None:
    plan_id = scene.submit()
    token = scene.begin(plan_id, lease_seconds=60)
    scene.pass_time(61)
    assert scene.world.plans.save_tasks(scene.tenant_id, plan_id, token, [], [])


def test_tasks_are_stored_once(scene: Scene) -> None:
    planned = scene.plan(2)
    token = scene.world.clock.new_id()
    assert not scene.world.plans.save_tasks(scene.tenant_id, planned.plan_id, token, [], [])
    assert scene.world.plans.begin_planning(scene.tenant_id, planned.plan_id, token, 60, PLANNERS) is None
    assert scene.shown(planned.plan_id).counts.tasks == 2


def test_a_plan_with_tasks_runs(scene: Scene) -> None:
    planned = scene.plan(2, 1)
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.tasks, plan.counts.open) == (PlanState.RUNNING, 3, 3)
    assert scene.states(planned.plan_id) == [TaskState.QUEUED] * 3
    assert scene.kinds(planned.plan_id) == ["plan.submitted", "plan.planned"]


def test_a_plan_of_no_tasks_completes(scene: Scene) -> None:
    plan_id = scene.submit()
    assert scene.world.plans.save_tasks(scene.tenant_id, plan_id, scene.begin(plan_id), [], [])
    plan = scene.shown(plan_id)
    assert (plan.state, plan.counts.tasks) == (PlanState.COMPLETED, 0)
    assert plan.finished_at is not None
    assert scene.kinds(plan_id) == ["plan.submitted", "plan.planned", "plan.completed"]


def test_more_tasks_than_go_into_one_statement_are_stored_too(scene: Scene) -> None:
    planned = scene.plan(1, *[500] * 5)
    results = scene.world.plans.results(scene.tenant_id, planned.plan_id, (-1, -1), 10_000)
    assert [result.task_id for result in results] == planned.ids


def test_a_plan_whose_planner_failed_says_why(scene: Scene) -> None:
    plan_id = scene.submit()
    assert scene.world.plans.fail_plan(scene.tenant_id, plan_id, scene.begin(plan_id), FAILURE)
    plan = scene.shown(plan_id)
    assert (plan.state, plan.failure) == (PlanState.FAILED, FAILURE)
    assert plan.finished_at is not None
    assert scene.kinds(plan_id) == ["plan.submitted", "plan.failed"]


@pytest.mark.parametrize("message", ["ü \u2028", "a\x00b", "\ud800", "x" * 2000], ids=["ü", "nul", "surrogate", "long"])
def test_whatever_a_planner_said_can_be_stored(scene: Scene, message: str) -> None:
    plan_id = scene.submit()
    said = PlanFailure(code="planner_raised", message=message)
    assert scene.world.plans.fail_plan(scene.tenant_id, plan_id, scene.begin(plan_id), said)
    assert scene.shown(plan_id).failure == said


def test_a_failed_plan_is_not_planned_again(scene: Scene) -> None:
    plan_id = scene.submit()
    token = scene.begin(plan_id)
    scene.world.plans.fail_plan(scene.tenant_id, plan_id, token, FAILURE)
    assert scene.world.plans.begin_planning(scene.tenant_id, plan_id, token, 60, PLANNERS) is None
    assert not scene.world.plans.fail_plan(scene.tenant_id, plan_id, token, FAILURE)


@pytest.mark.parametrize("seconds", [-3600, 0])
def test_a_deadline_that_has_passed_is_refused_unless_its_key_has_made_the_plan(scene: Scene, seconds: int) -> None:
    late = now_of(scene.world) + timedelta(seconds=seconds)
    with pytest.raises(DeadlinePassed, match="has passed"):
        scene.submit(deadline=late)
    assert scene.world.plans.list_plans(scene.tenant_id, 10) == []
    soon = now_of(scene.world) + timedelta(seconds=1)
    first = scene.submit(deadline=soon, idempotency_key="k")
    scene.pass_time(7200)
    again = scene.submitted(deadline=soon, idempotency_key="k")
    assert (again.plan_id, again.created) == (first, False)


def test_a_submission_can_be_checked_without_storing_anything(scene: Scene) -> None:
    scene.submit(idempotency_key="k", session_id="s")
    before, plans = scene.entries(), scene.world.plans.list_plans(scene.tenant_id, 10)
    scene.world.plans.check(scene.request(session_id="new"))
    scene.world.plans.check(scene.request(idempotency_key="k", session_id="s"))
    with pytest.raises(IdempotencyConflict):
        scene.world.plans.check(scene.request(idempotency_key="k", goal="another"))
    with pytest.raises(DeadlinePassed):
        scene.world.plans.check(scene.request(deadline=now_of(scene.world) - timedelta(seconds=1)))
    with pytest.raises(UnknownTenant):
        scene.world.plans.check(scene.request().model_copy(update={"tenant_id": "nobody"}))
    assert (scene.entries(), scene.world.plans.list_plans(scene.tenant_id, 10)) == (before, plans)


def test_a_plan_past_its_deadline_is_not_planned(scene: Scene) -> None:
    plan_id = scene.submit(deadline=now_of(scene.world) + timedelta(hours=1))
    scene.pass_time(3601)
    assert scene.world.plans.begin_planning(scene.tenant_id, plan_id, scene.world.clock.new_id(), 60, PLANNERS) is None


# Reading.


def test_a_plan_of_another_tenant_is_not_there(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1)
    with pytest.raises(PlanNotFound):
        stranger.shown(planned.plan_id)
    with pytest.raises(PlanNotFound):
        stranger.stop(planned.plan_id)
    assert stranger.results(planned.plan_id) == []
    assert stranger.entries(planned.plan_id) == []
    assert scene.state(planned.plan_id) is PlanState.RUNNING


def test_a_plan_of_another_tenant_is_not_planned(scene: Scene, stranger: Scene) -> None:
    plan_id = scene.submit()
    token = scene.world.clock.new_id()
    plans = scene.world.plans
    assert plans.begin_planning(stranger.tenant_id, plan_id, token, 60, PLANNERS) is None
    scene.begin(plan_id)
    assert not plans.save_tasks(stranger.tenant_id, plan_id, token, [], [])
    assert not plans.fail_plan(stranger.tenant_id, plan_id, token, FAILURE)
    assert scene.state(plan_id) is PlanState.PLANNING


def test_a_plan_that_is_nowhere_is_not_found(scene: Scene) -> None:
    nowhere = scene.world.clock.new_id()
    with pytest.raises(PlanNotFound):
        scene.shown(nowhere)
    with pytest.raises(PlanNotFound):
        scene.stop(nowhere)


def test_plans_are_listed_newest_first_up_to_the_limit(scene: Scene, stranger: Scene) -> None:
    ids = [scene.submit() for _ in range(3)]
    stranger.submit()
    listed = scene.world.plans.list_plans(scene.tenant_id, 2)
    assert [plan.plan_id for plan in listed] == ids[:0:-1]


def test_plans_are_listed_by_state(scene: Scene) -> None:
    submitted, cancelled = scene.submit(), scene.submit()
    scene.stop(cancelled)

    def listed(state: PlanState) -> list[UUID]:
        return [plan.plan_id for plan in scene.world.plans.list_plans(scene.tenant_id, 10, state)]

    assert listed(PlanState.SUBMITTED) == [submitted]
    assert listed(PlanState.CANCELLED) == [cancelled]
    assert listed(PlanState.RUNNING) == []


def test_results_come_in_pages_in_the_order_of_waves_and_tasks(scene: Scene) -> None:
    planned = scene.plan(3, 2)
    after, pages = (-1, -1), []
    while page := scene.world.plans.results(scene.tenant_id, planned.plan_id, after, 2):
        pages.append([result.task_id for result in page])
        after = (page[-1].wave_no, page[-1].ordinal)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [task_id for page in pages for task_id in page] == planned.ids


def test_a_result_shows_what_was_staged_and_its_label(scene: Scene) -> None:
    plan_id = scene.submit()
    task = scene.task(plan_id, label='{"category":"bill"}')
    waves = [Wave(wave_no=0, task_count=1)]
    scene.world.plans.save_tasks(scene.tenant_id, plan_id, scene.begin(plan_id), waves, [task])
    [before] = scene.results(plan_id)
    assert (before.outcome, before.attempt, before.label) == (None, 0, {"category": "bill"})
    outcome = success({"reply": "ü"}, 0.8)
    scene.stage(scene.claim(scene.wave(plan_id), [task.task_id]), outcome)
    [after] = scene.results(plan_id)
    assert (after.state, after.attempt, after.outcome) == (TaskState.STAGED, 1, outcome)


def test_a_result_is_that_of_the_latest_attempt(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.lose(planned.wave)
    scene.stage(scene.claim(planned.wave, planned.ids), failure())
    assert scene.stage(claim) == 0
    [result] = scene.results(planned.plan_id)
    assert (result.attempt, result.outcome) == (2, failure())


def test_entries_come_in_pages_in_order(scene: Scene) -> None:
    for _ in range(4):
        scene.submit()
    after, seqs = 0, []
    while page := scene.world.plans.entries(scene.tenant_id, None, after, 2):
        seqs += [entry.seq for entry in page]
        after = seqs[-1]
    assert seqs == [1, 2, 3, 4, 5]


def test_the_last_entries_come_in_order(scene: Scene) -> None:
    for _ in range(4):
        scene.submit()
    last = scene.world.plans.last_entries(scene.tenant_id, 2)
    assert [entry.seq for entry in last] == [4, 5]
    assert scene.world.plans.last_entries(scene.tenant_id, 100) == scene.entries()


DECIDED = (AuditKind.REVIEW_DECIDED,)
REVIEWED = (AuditKind.REVIEW_OPENED, *DECIDED)


@pytest.mark.parametrize("rule", ["confidence.missing", "confidence", "confidence.below", "conf", 'a"\\b%_'])
def test_entries_are_selected_by_who_what_when_and_why(scene: Scene, stranger: Scene, rule: str) -> None:
    planned, cards = scene.in_review(2)
    scene.in_review()
    stranger.in_review()
    scene.decide(cards[0], approve=True, by="bob")
    entries = scene.entries()
    first, last = entries[2].at, entries[-1].at
    filters = [
        EntryFilter(),
        EntryFilter(actor="bob"),
        EntryFilter(actor="nobody"),
        EntryFilter(task_id=planned.ids[1]),
        EntryFilter(plan_id=planned.plan_id),
        EntryFilter(kinds=REVIEWED),
        EntryFilter(kinds=DECIDED),
        EntryFilter(since=first),
        EntryFilter(until=last),
        EntryFilter(since=first, until=last, kinds=(AuditKind.TASK_DECIDED,), rule="confidence"),
        EntryFilter(rule=rule),
        EntryFilter(actor="bob", kinds=DECIDED, since=first, plan_id=planned.plan_id),
    ]
    for wanted in filters:
        held = [entry for entry in entries if wanted.holds(entry)]
        assert scene.world.plans.last_entries(scene.tenant_id, 100, wanted) == held
        assert scene.world.plans.last_entries(scene.tenant_id, 2, wanted) == held[-2:]
        of_plan = [entry for entry in held if entry.plan_id == planned.plan_id]
        assert scene.world.plans.entries(scene.tenant_id, planned.plan_id, 1, 2, wanted) == of_plan[:2]
    assert len(scene.world.plans.last_entries(scene.tenant_id, 100, EntryFilter(kinds=DECIDED))) == 1
    found = scene.world.plans.last_entries(scene.tenant_id, 100, EntryFilter(rule=rule))
    assert (len(found) > 0) == (rule in {"confidence.missing", "confidence"})


def test_the_audit_is_one_chain(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(3)
    stranger.plan(1)
    scene.judge(scene.work_off(planned), approve)
    previous = bytes(32)
    for number, entry in enumerate(scene.entries(), start=1):
        assert entry.seq == number
        assert entry.hash == hashlib.sha256(previous + entry.body.encode()).digest()
        previous = entry.hash


def test_a_published_plan_is_not_unplanned_until_its_message_must_be_lost(scene: Scene) -> None:
    plan_id = scene.submit()
    scene.pass_time(5)
    scene.world.plans.mark_published(scene.tenant_id, plan_id, EPOCH)
    assert plan_id not in [plan.plan_id for plan in scene.world.sweep.unplanned()]
    scene.pass_time(11)
    assert plan_id in [plan.plan_id for plan in scene.world.sweep.unplanned()]


def test_a_plan_whose_planner_a_process_lacks_is_left_to_another(scene: Scene) -> None:
    plan_id = scene.submit()
    token = scene.world.clock.new_id()
    lacking: list[list[str]] = [[], ["q"]]
    for planners in lacking:
        assert scene.world.plans.begin_planning(scene.tenant_id, plan_id, token, 60, planners) is None
    assert scene.world.plans.get(scene.tenant_id, plan_id).state is PlanState.SUBMITTED
    job = scene.world.plans.begin_planning(scene.tenant_id, plan_id, token, 60, ["q", "p"])
    assert job is not None
    assert job.attempt == 1
