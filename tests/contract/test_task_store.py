"""Tasks as people look at them."""

from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from chimera.errors import TaskNotFound
from chimera.models.audit.erasure import Erasure
from chimera.models.work.history import TaskHistory, TaskStanding
from chimera.models.work.plan import PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.task import TERMINAL, TaskState
from tests.contract.scene import (
    POLICY,
    WRONG,
    Claim,
    Planned,
    Says,
    Scene,
    approve,
    deny,
    end,
    facts_of,
    failure,
    now_of,
    replan,
    retry,
    success,
)
from tests.contract.worlds import stores


def tasks(scene: Scene, planned: Planned) -> list[TaskStanding]:
    return scene.world.tasks.list_tasks(scene.tenant_id, plan_id=planned.plan_id, limit=1000)


def times(scene: Scene, planned: Planned) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Of the plan's only task: made, first started, finished."""
    [task] = tasks(scene, planned)
    return task.created_at, task.started_at, task.finished_at


class TestList:
    def test_a_task_as_it_was_planned(self, scene: Scene) -> None:
        planned = scene.plan(1, max_attempts=2)
        [task] = tasks(scene, planned)
        assert (task.tenant_id, task.plan_id, task.task_id) == (scene.tenant_id, planned.plan_id, planned.ids[0])
        assert (task.wave_no, task.ordinal, task.skill) == (0, 0, "echo")
        assert (task.state, task.attempt, task.max_attempts) == (TaskState.QUEUED, 0, 2)
        assert task.parent_task_id is None

    def test_the_latest_plan_first_and_each_in_its_own_order(self, scene: Scene) -> None:
        plans = [scene.plan(2, 1), scene.plan(1, 2)]
        found = scene.world.tasks.list_tasks(scene.tenant_id, limit=100)
        assert [task.task_id for task in found] == [*plans[1].ids, *plans[0].ids]

    def test_a_page_begins_behind_the_last_one(self, scene: Scene) -> None:
        plans = [scene.plan(2, 1), scene.plan(1, 2)]
        wanted = [*plans[1].ids, *plans[0].ids]
        found = []
        after = None
        while page := scene.world.tasks.list_tasks(scene.tenant_id, after=after, limit=2):
            assert len(page) <= 2
            found += [task.task_id for task in page]
            after = found[-1]
        assert found == wanted

    def test_those_of_a_plan_a_state_a_skill(self, scene: Scene) -> None:
        planned, other = scene.plan(3), scene.plan(1)
        scene.claim(planned.wave, planned.ids[1:2])
        store = scene.world.tasks
        running = store.list_tasks(scene.tenant_id, state=TaskState.RUNNING, limit=9)
        assert [task.task_id for task in running] == planned.ids[1:2]
        assert store.list_tasks(scene.tenant_id, plan_id=other.plan_id, state=TaskState.RUNNING, limit=9) == []
        assert len(store.list_tasks(scene.tenant_id, skill="echo", limit=9)) == 4
        assert store.list_tasks(scene.tenant_id, skill="ech", limit=9) == []

    def test_nothing_of_another_tenant(self, scene: Scene, stranger: Scene) -> None:
        planned = scene.plan(1)
        store = stranger.world.tasks
        assert store.list_tasks(stranger.tenant_id, limit=9) == []
        assert store.list_tasks(stranger.tenant_id, plan_id=planned.plan_id, limit=9) == []
        with pytest.raises(TaskNotFound):
            store.list_tasks(stranger.tenant_id, after=planned.ids[0], limit=9)
        assert [entry.kind for entry in stranger.entries()][-1] == "access.refused"


class TestTimes:
    def test_it_is_made_with_its_plan_s_others(self, scene: Scene) -> None:
        before = now_of(scene.world)
        planned = scene.plan(3)
        made = {task.created_at for task in tasks(scene, planned)}
        assert len(made) == 1
        [at] = made
        assert at is not None
        assert before - timedelta(seconds=1) <= at <= now_of(scene.world) + timedelta(seconds=1)
        assert {(task.started_at, task.finished_at) for task in tasks(scene, planned)} == {(None, None)}

    def test_it_starts_with_its_first_claim_and_no_other(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned), retry)
        made, started, finished = times(scene, planned)
        assert made is not None
        assert started is not None
        assert started >= made
        assert finished is None
        scene.pass_time(5)
        scene.claim(planned.wave, planned.ids)
        assert times(scene, planned) == (made, started, None)

    def test_what_was_claimed_and_not_started_has_not_started(self, scene: Scene) -> None:
        planned = scene.plan(1)
        claim = scene.claim(planned.wave, planned.ids)
        release(scene, claim)
        assert times(scene, planned)[1:] == (None, None)

    def test_what_was_started_before_has(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned), retry)
        started = times(scene, planned)[1]
        assert started is not None
        release(scene, scene.claim(planned.wave, planned.ids))
        assert times(scene, planned)[1] == started

    @pytest.mark.parametrize("says", [approve, deny])
    def test_it_finishes_with_its_final_decision(self, scene: Scene, says: Says) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned), says)
        made, started, finished = times(scene, planned)
        assert made is not None
        assert started is not None
        assert finished is not None
        assert made <= started <= finished

    @pytest.mark.parametrize("by_a_person", [True, False])
    def test_a_person_s_decision_finishes_it(self, scene: Scene, by_a_person: bool) -> None:
        planned, [card] = scene.in_review()
        assert times(scene, planned)[2] is None
        scene.decide(card, approve=by_a_person)
        assert times(scene, planned)[2] is not None

    def test_what_its_planner_gives_up_finishes(self, scene: Scene) -> None:
        planned = scene.asked()
        _, token = scene.begin_replan(planned.wave)
        assert scene.world.replans.give_up(planned.wave, planned.ids[0], token, None)
        assert times(scene, planned)[2] is None
        [given_up] = scene.world.decisions.open_wave(planned.wave).given_up
        scene.world.decisions.decide_wave(planned.wave, [end(given_up)])
        assert times(scene, planned)[2] is not None

    def test_what_its_plan_s_stop_ends_finishes(self, scene: Scene) -> None:
        planned = scene.plan(1, 1)
        scene.claim(planned.wave, planned.ids[:1])
        scene.stop(planned.plan_id)
        for wave in planned.waves:
            scene.stop_wave(wave)
        assert scene.state(planned.plan_id) is PlanState.CANCELLED
        running, queued = tasks(scene, planned)
        assert running.started_at is not None
        assert running.finished_at is not None
        assert queued.started_at is None
        assert queued.finished_at is not None

    def test_only_what_has_ended_has_finished(self, scene: Scene) -> None:
        planned = scene.plan(4, has_replan=True)
        scene.send()
        for task_id, says in zip(planned.ids, (approve, replan, scene.hitl, deny), strict=True):
            scene.stage(scene.claim(planned.wave, [task_id]))
            scene.judge(planned.wave, says)
        for task in tasks(scene, planned):
            assert (task.finished_at is not None) == (task.state in TERMINAL), task.state


def release(scene: Scene, claim: Claim) -> None:
    scene.world.work.release(claim.wave, claim.token, claim.ids)


class TestHistory:
    def test_a_task_that_waits(self, scene: Scene) -> None:
        planned = scene.plan(1, state_key="k", trace_id="t-1", session_id="s")
        found = history(scene, planned)
        assert (
            TaskStanding.model_validate(found.model_dump(include=set(TaskStanding.model_fields)))
            == tasks(scene, planned)[0]
        )
        assert (found.trace_id, found.session_id, found.state_key, found.agent_id) == ("t-1", "s", "k", None)
        assert (found.attempts, found.late_results, found.decisions, found.cards, found.commit) == (
            (),
            (),
            (),
            (),
            None,
        )
        assert kinds(found) == ["planned"]

    def test_another_tenant_s_is_not_found_and_that_is_on_record(self, scene: Scene, stranger: Scene) -> None:
        planned = scene.plan(1)
        with pytest.raises(TaskNotFound):
            stranger.world.tasks.history(stranger.tenant_id, planned.ids[0])
        [entry] = stranger.recorded("access.refused")
        assert facts_of(entry) == {"asked_for": f"tk_{planned.ids[0].hex}", "to": "read"}

    def test_what_runs_is_its_agent_s(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.claim(planned.wave, planned.ids)
        found = history(scene, planned)
        [attempt] = found.attempts
        assert (attempt.attempt, attempt.skill, attempt.agent_id) == (1, "echo", scene.agent_id)
        assert (attempt.outcome, attempt.result_sha256, attempt.started_at) == (None, None, None)
        assert found.agent_id == scene.agent_id
        assert [(event.kind, event.actor) for event in found.timeline()] == [
            ("planned", None),
            ("taken", f"ag_{scene.agent_id.hex}"),
        ]

    def test_every_attempt_with_its_decision_and_reasons(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned, failure("broken")), retry)
        scene.judge(scene.work_off(planned, success("fine", confidence=0.9)), approve)
        found = history(scene, planned)
        first, second = found.attempts
        assert (first.outcome, first.code, first.message, first.confidence) == ("failure", "broken", "it broke", None)
        assert (second.outcome, second.code, second.message, second.confidence) == ("success", None, None, 0.9)
        assert first.agent_id == second.agent_id == scene.agent_id
        denied, approved = found.decisions
        assert (denied.attempt, denied.verdict, denied.final, denied.reasons) == (1, "deny", False, (WRONG,))
        assert (approved.attempt, approved.verdict, approved.final, approved.reasons) == (2, "approve", True, ())
        assert (approved.decided_by, approved.policy_version) == ("policy", POLICY)
        assert [denied.result_sha256, approved.result_sha256] == [first.result_sha256, second.result_sha256]
        seqs = [entry.seq for entry in scene.recorded("task.decided")]
        assert [denied.audit_seq, approved.audit_seq] == seqs
        assert found.commit is not None
        assert (found.commit.attempt, found.commit.result_sha256) == (2, second.result_sha256)
        assert found.commit.committed_at == approved.decided_at

    def test_a_lost_attempt_has_no_result_and_a_late_one_changed_nothing(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.send()
        claim = scene.claim(planned.wave, planned.ids)
        scene.lose(planned.wave)
        assert scene.stage(claim) == 0
        scene.judge(scene.work_off(planned), approve)
        found = history(scene, planned)
        lost, second = found.attempts
        assert (lost.attempt, lost.outcome, lost.result_sha256) == (1, None, None)
        assert second.outcome == "success"
        assert found.lost == 1
        [late] = found.late_results
        assert (late.attempt, late.agent_id, late.result_sha256) == (1, scene.agent_id, second.result_sha256)

    def test_every_lost_attempt_tells_who_lost_it_and_when(self, scene: Scene) -> None:
        planned = scene.plan(2)
        agents = [lose_one(scene, planned) for _ in range(3)]
        scene.judge(planned.wave, approve)
        found = history(scene, planned)
        assert (found.state, found.lost) == (TaskState.EXHAUSTED, 3)
        assert [attempt.agent_id for attempt in found.attempts] == agents
        for attempt in found.attempts:
            assert attempt.taken_at is not None
            assert attempt.lost_at is not None
            assert attempt.taken_at <= attempt.lost_at
        assert found.attempts[0].taken_at == found.started_at
        names = [f"ag_{agent.hex}" for agent in agents]
        events = [(event.kind, event.attempt, event.actor) for event in found.timeline()]
        assert events == [
            ("planned", None, None),
            *[(kind, number, names[number - 1]) for number in (1, 2, 3) for kind in ("taken", "lost")],
            ("decided", 3, "policy"),
        ]
        assert found.timeline()[-1].facts["agent_id"] == names[-1]
        assert scene.world.tasks.history(scene.tenant_id, planned.ids[1]).attempts == ()

    def test_what_is_lost_once_more_is_not_taken_for_what_runs_now(self, scene: Scene) -> None:
        planned = scene.plan(1)
        lost_by = lose_one(scene, planned)
        scene.agent_id = scene.world.clock.new_id()
        scene.send()
        claim = scene.claim(planned.wave, planned.ids)
        lost, runs = history(scene, planned).attempts
        assert (lost.agent_id, runs.agent_id, runs.lost_at) == (lost_by, scene.agent_id, None)
        assert lost.taken_at is not None
        assert runs.taken_at is not None
        assert lost.taken_at < runs.taken_at
        release(scene, claim)
        [left] = history(scene, planned).attempts
        assert left == lost, "handed over, it is no attempt and no loss"
        assert history(scene, planned).lost == 1

    def test_each_attempt_that_left_a_result_was_taken_once(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned, failure("broken")), retry)
        first = scene.agent_id
        scene.agent_id = scene.world.clock.new_id()
        scene.judge(scene.work_off(planned), approve)
        found = history(scene, planned)
        taken = [(event.attempt, event.actor) for event in found.timeline() if event.kind == "taken"]
        assert taken == [(1, f"ag_{first.hex}"), (2, f"ag_{scene.agent_id.hex}")]
        assert [attempt.lost_at for attempt in found.attempts] == [None, None]

    def test_what_its_plan_s_stop_ends_is_not_lost(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.claim(planned.wave, planned.ids)
        scene.stop(planned.plan_id)
        scene.stop_wave(planned.wave)
        found = history(scene, planned)
        [attempt] = found.attempts
        assert (found.lost, attempt.agent_id, attempt.lost_at) == (0, scene.agent_id, None)
        assert attempt.taken_at is not None

    def test_what_it_wrote_to_shared_state(self, scene: Scene) -> None:
        planned = scene.plan(1, state_key="k")
        scene.judge(scene.work_off(planned), approve)
        commit = history(scene, planned).commit
        assert commit is not None
        assert (commit.state_key, commit.state_version) == ("k", 1)

    def test_people_s_decisions(self, scene: Scene) -> None:
        planned, [card] = scene.in_review(approvals_needed=2)
        scene.edit(card, "better", by="ann", reasons=(WRONG,))
        scene.decide(scene.card(card), approve=True, by="bob")
        found = history(scene, planned)
        [shown] = found.cards
        assert (shown.card_id, shown.attempt, shown.status, shown.approvals_needed) == (card.card_id, 1, "edited", 2)
        assert [(edit.revision, edit.edited_by, edit.reasons) for edit in shown.edits] == [(1, "ann", (WRONG,))]
        assert [approval.approved_by for approval in shown.approvals] == ["ann", "bob"]
        assert shown.decided_by == "bob"
        asked, approved = found.decisions
        assert [reason.rule for reason in asked.reasons] == ["confidence.missing"]
        assert (approved.decided_by, approved.final) == ("bob", True)
        assert found.commit is not None
        assert found.commit.result_sha256 != found.attempts[0].result_sha256
        order = ["edited", "approved", "approved", "card closed", "committed"]
        assert [kind for kind in kinds(found) if kind in order] == order

    def test_a_denied_card_has_no_approval(self, scene: Scene) -> None:
        planned, [card] = scene.in_review()
        scene.decide(card, approve=False, by="ann")
        found = history(scene, planned)
        [shown] = found.cards
        assert (shown.status, shown.decided_by, shown.approvals) == ("denied", "ann", ())
        assert found.commit is None

    def test_it_names_what_it_tries_again_and_what_tries_it_again(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned), deny)
        retried = scene.retry(planned.plan_id, RetryKind.DENIED)
        [copy] = scene.world.tasks.list_tasks(scene.tenant_id, plan_id=retried.plan_id, limit=9)
        assert history(scene, planned).retried_as == (copy.task_id,)
        assert copy.parent_task_id == planned.ids[0]

    def test_the_timeline_is_in_order_of_time(self, scene: Scene) -> None:
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned, failure()), retry)
        scene.judge(scene.work_off(planned), scene.hitl)
        [card] = scene.cards(planned.plan_id)
        scene.decide(card, approve=True)
        events = history(scene, planned).timeline()
        assert sorted(event.at for event in events) == [event.at for event in events]
        wanted = ["planned", *["taken"] * 2, *["decided"] * 3, "card opened", "approved", "card closed", "committed"]
        clocks = {"started", "result"}  # of another machine than all else
        assert Counter(event.kind for event in events if event.kind not in clocks) == Counter(wanted)
        assert Counter(event.kind for event in events if event.kind in clocks) == {"started": 2, "result": 2}

    def test_what_was_erased_is_not_told(self, real_scene: Scene) -> None:
        scene = real_scene
        planned = scene.plan(1)
        scene.judge(scene.work_off(planned, failure("broken")), deny)
        erasure = Erasure(
            tenant_id=scene.tenant_id, plan_id=planned.plan_id, task_id=None, actor="ann", reason="asked to"
        )
        stores(scene.world).erasures.erase(erasure)
        found = history(scene, planned)
        [attempt] = found.attempts
        assert found.erased
        assert (attempt.outcome, attempt.code, attempt.message) == (None, None, None)
        assert attempt.result_sha256 is not None


def lose_one(scene: Scene, planned: Planned) -> UUID:
    """Has a new agent claim the plan's first task and lose it; returns the agent."""
    scene.agent_id = scene.world.clock.new_id()
    scene.send()
    scene.claim(planned.wave, planned.ids[:1])
    scene.lose(planned.wave)
    return scene.agent_id


def history(scene: Scene, planned: Planned) -> TaskHistory:
    return scene.world.tasks.history(scene.tenant_id, planned.ids[0])


def kinds(found: TaskHistory) -> list[str]:
    return [str(event.kind) for event in found.timeline()]
