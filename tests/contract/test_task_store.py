"""Tasks as people look at them."""

from datetime import datetime, timedelta

import pytest

from chimera.errors import TaskNotFound
from chimera.models.work.history import TaskStanding
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TERMINAL, TaskState
from tests.contract.scene import Claim, Planned, Says, Scene, approve, deny, end, now_of, replan, retry


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
