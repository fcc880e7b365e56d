"""Several at once, on the real store: each thing happens once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import TypeVar
from uuid import UUID

import pytest

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.steps.sessions import is_held
from chimera.errors import (
    CardAlreadyDecided,
    CardClaimed,
    Conflict,
    PlanAlreadyEnded,
    SessionStopped,
    StoreRefused,
    StoreUnavailable,
)
from chimera.models.audit.erasure import Erasure
from chimera.models.gate.review import CardStatus
from chimera.models.work.plan import PlanState
from chimera.models.work.retry import RetryKind
from chimera.models.work.session import SessionState
from chimera.models.work.task import TaskState
from chimera.ports.replan_store import Replanned
from chimera.services.control import PlanControl
from chimera.services.session_control import SessionControl
from tests.conftest import POOL_SIZE, new_tenant_id
from tests.contract.scene import PLANNERS, Scene, approve, deny
from tests.contract.worlds import PostgresWorld, stores
from tests.fakes import FakeQueue

T = TypeVar("T")
AS_IT_WAS = Replanned(skill="echo", input="{}", timeout_seconds=1.0)


@pytest.fixture
def scene(postgres_world: PostgresWorld) -> Scene:
    tenant_id = new_tenant_id()
    postgres_world.add_tenant(tenant_id)
    return Scene(postgres_world, tenant_id)


def at_once(act: Callable[[int], T]) -> list[T]:
    """What as many threads as there are connections get, all beginning at the same moment."""
    barrier = Barrier(POOL_SIZE)

    def run(number: int) -> T:
        barrier.wait(10)
        return act(number)

    with ThreadPoolExecutor(max_workers=POOL_SIZE) as executor:
        return list(executor.map(run, range(POOL_SIZE)))


def test_one_key_is_one_plan(scene: Scene) -> None:
    submitted = at_once(lambda _: scene.submitted(idempotency_key="k"))
    assert len({each.plan_id for each in submitted}) == 1
    assert sum(each.created for each in submitted) == 1


def test_one_planner_gets_the_plan(scene: Scene) -> None:
    plan_id = scene.submit()
    ids = [scene.world.clock.new_id() for _ in range(POOL_SIZE)]
    jobs = at_once(lambda number: scene.world.plans.begin_planning(scene.tenant_id, plan_id, ids[number], 60, PLANNERS))
    assert sum(job is not None for job in jobs) == 1


def test_every_task_is_claimed_by_one_agent(scene: Scene) -> None:
    planned = scene.plan(40)
    claims = at_once(lambda _: scene.claim(planned.wave, planned.ids).ids)
    assert sorted(task_id for claimed in claims for task_id in claimed) == sorted(planned.ids)


def test_every_wave_is_sent_by_one_process(scene: Scene) -> None:
    planned = scene.plan(*[1] * 10)
    sent = at_once(lambda _: scene.send(window=8))
    assert sorted(wave.wave_no for waves in sent for wave in waves) == list(range(8))
    assert len(planned.waves) == 10


def test_a_wave_is_judged_once(scene: Scene) -> None:
    planned = scene.plan(10, state_key="k")
    scene.work_off(planned)
    decisions = [approve(staged) for staged in scene.world.decisions.open_wave(planned.wave).staged]
    requeued = at_once(lambda _: scene.world.decisions.decide_wave(planned.wave, decisions).requeued)
    assert sorted(requeued) == [0] * (POOL_SIZE - 1) + [9]
    assert scene.states(planned.plan_id) == [TaskState.APPROVED] + [TaskState.QUEUED] * 9
    assert scene.kinds(planned.plan_id).count("task.decided") == 10


def test_the_last_of_a_plan_s_waves_to_close_ends_it(scene: Scene) -> None:
    planned = scene.plan(*[3] * POOL_SIZE)
    for number in range(POOL_SIZE):
        scene.work_off(planned, wave_no=number)
    at_once(lambda number: scene.judge(planned.waves[number], approve))
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert scene.kinds(planned.plan_id).count("plan.completed") == 1


def test_waves_that_want_the_same_keys_do_not_block_one_another(scene: Scene) -> None:
    plans = [scene.plan(1, state_key="k") for _ in range(POOL_SIZE)]
    for planned in plans:
        scene.work_off(planned)
    requeued = at_once(lambda number: scene.judge(plans[number].wave, approve))
    assert sorted(requeued) == [0] + [1] * (POOL_SIZE - 1)
    assert scene.world.shared_state(scene.tenant_id, "k") == ("fine", 1)


def test_a_planner_is_asked_once_about_each_task(scene: Scene) -> None:
    planned = scene.asked(12)

    def ask(_: int) -> list[UUID]:
        found = []
        while (begun := scene.begin_replan(planned.wave))[0] is not None:
            job, token = begun
            assert job is not None
            task_id = job.denied.task_id
            assert scene.world.replans.save(planned.wave, task_id, token, AS_IT_WAS)
            found.append(task_id)
        return found

    assert sorted(task_id for found in at_once(ask) for task_id in found) == sorted(planned.ids)
    assert scene.kinds(planned.plan_id).count("plan.replan_answered") == 12


def test_planners_the_judge_and_a_stop_do_not_block_one_another(scene: Scene) -> None:
    planned = scene.asked(12)

    def act(number: int) -> None:
        if number == 0:
            with suppress(PlanAlreadyEnded):
                scene.stop(planned.plan_id)
            scene.stop_wave(planned.wave)
            return
        for _ in range(4):
            job, token = scene.begin_replan(planned.wave)
            if job is not None:
                scene.world.replans.give_up(planned.wave, job.denied.task_id, token, None)
            scene.judge(planned.wave, approve)

    at_once(act)
    scene.stop_wave(planned.wave)
    states = Counter(scene.states(planned.plan_id))
    assert set(states) <= {TaskState.DENIED, TaskState.CANCELLED}
    assert scene.state(planned.plan_id) in {PlanState.CANCELLED, PlanState.COMPLETED}
    finals = [entry for entry in scene.entries(planned.plan_id) if (entry.facts or {}).get("final")]
    assert len(finals) == len({entry.task_id for entry in finals}) == 12


def test_a_card_is_decided_by_one_person(scene: Scene) -> None:
    planned, [card] = scene.in_review()

    def decide(number: int) -> str:
        try:
            scene.decide(card, approve=number % 2 == 0, by=f"p{number}", note="so")
        except (CardAlreadyDecided, Conflict):
            return "late"
        return f"p{number}"

    deciders = [decider for decider in at_once(decide) if decider != "late"]
    [decided] = scene.cards(planned.plan_id)
    assert [decided.decided_by] == deciders
    assert scene.kinds(planned.plan_id).count("review.decided") == 1


def test_erasing_a_plan_while_people_decide_on_it_ends_each_task_once(scene: Scene) -> None:
    planned = scene.plan(3, 3, 3, 3)
    for wave_no in range(4):
        scene.judge(scene.work_off(planned, wave_no=wave_no), scene.hitl)
    cards = scene.cards(planned.plan_id)
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW
    erasure = Erasure(tenant_id=scene.tenant_id, plan_id=planned.plan_id, task_id=None, actor="ann", reason="asked to")

    def act(number: int) -> None:
        if number == 0:
            stores(scene.world).erasures.erase(erasure)
            return
        for card in cards[number - 1 :: 3]:
            with suppress(CardAlreadyDecided, CardClaimed, Conflict):
                scene.world.cards.claim(scene.tenant_id, card.card_id, f"p{number}", 60)
                scene.decide(card, approve=True, by=f"p{number}")

    at_once(act)
    finals = Counter(entry.task_id for entry in scene.entries(planned.plan_id) if (entry.facts or {}).get("final"))
    assert set(finals.values()) == {1}
    assert len(finals) == 12
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert all(result.erased for result in scene.results(planned.plan_id))


def test_stopping_and_judging_at_once_ends_each_task_once(scene: Scene) -> None:
    planned = scene.plan(20)
    scene.work_off(planned)
    scene.stop(planned.plan_id)

    def act(number: int) -> None:
        if number % 2:
            scene.stop_wave(planned.wave)
        else:
            scene.judge(planned.wave, approve)

    at_once(act)
    assert scene.state(planned.plan_id) is PlanState.CANCELLED
    assert scene.kinds(planned.plan_id).count("task.decided") == 20
    assert len(set(scene.states(planned.plan_id))) == 1


def test_what_is_tried_again_by_several_is_one_plan(scene: Scene) -> None:
    planned = scene.plan(20)
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    retried = at_once(lambda _: scene.retry(planned.plan_id, RetryKind.STOPPED))
    assert len({each.plan_id for each in retried}) == 1
    assert sum(each.created for each in retried) == 1


def test_pausing_resuming_and_judging_do_not_block_one_another(scene: Scene) -> None:
    plans = [scene.plan(4, 4) for _ in range(8)]
    scene.send(window=100)
    control, tenant_id = scene.world.control, scene.tenant_id

    def act(number: int) -> None:
        for planned in plans:
            if number == 0:
                control.pause_open(tenant_id, None, "ann", 3)
            elif number == 1:
                control.resume_open(tenant_id, None, "ann", 3)
            else:
                for wave in planned.waves:
                    scene.stage(scene.claim(wave, planned.ids_of(wave)))
                    scene.judge(wave, approve)

    at_once(act)
    while control.resume_open(tenant_id, None, "ann", 3):
        pass
    for planned in plans:
        for wave in planned.waves:
            scene.stage(scene.claim(wave, planned.ids_of(wave)))
            scene.judge(wave, approve)
        assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_each_plan_is_stopped_by_one(scene: Scene) -> None:
    plans = [scene.submit() for _ in range(10)]
    stopped = at_once(lambda _: scene.world.control.stop_open(scene.tenant_id, None, PlanState.CANCELLED, "ann", 3))
    assert len({change.plan_id for page in stopped for change in page}) == sum(map(len, stopped))
    assert {scene.kinds(plan_id).count("plan.cancelled") for plan_id in plans} <= {0, 1}


def test_the_audit_is_one_chain_whoever_writes_to_it(scene: Scene) -> None:
    plans = [scene.plan(5) for _ in range(POOL_SIZE)]
    for planned in plans:
        scene.work_off(planned)

    def act(number: int) -> None:
        scene.submit()
        scene.judge(plans[number].wave, deny if number % 2 else approve)
        scene.submit()

    at_once(act)
    seqs = [entry.seq for entry in scene.entries()]
    assert seqs == list(range(1, len(seqs) + 1))
    times = [entry.at for entry in scene.entries()]
    assert times == sorted(times)


def test_a_key_that_is_used_again_does_not_wait_for_its_plan_s_planner(scene: Scene, app_database: Database) -> None:
    # The planner's transaction has changed the plan, and waits for the audit's head that a submission holds.
    first = scene.submitted(idempotency_key="k")
    with app_database.transaction(scene.tenant_id) as planning:
        planning.execute("update plan set state = 'planning', lease_token = gen_random_uuid()")
        planning.execute("select").fetchall()
        again = scene.submitted(idempotency_key="k")
    assert (again.plan_id, again.created) == (first.plan_id, False)


def test_everybody_gets_a_next_card_of_their_own(scene: Scene) -> None:
    _, cards = scene.in_review(POOL_SIZE)
    given = at_once(lambda number: scene.world.cards.claim_next(scene.tenant_id, f"person {number}", 60, None))
    assert {*given} == {card.card_id for card in cards}
    assert {card.claimed_by for card in scene.cards()} == {f"person {number}" for number in range(POOL_SIZE)}


def test_a_card_is_claimed_by_one_person(scene: Scene) -> None:
    planned, [card] = scene.in_review()

    def claim(number: int) -> bool:
        with suppress(CardClaimed):
            scene.world.cards.claim(scene.tenant_id, card.card_id, f"person {number}", 60)
            return True
        return False

    assert sum(at_once(claim)) == 1
    assert scene.kinds(planned.plan_id).count("review.claimed") == 1


def test_every_approval_of_several_people_counts_and_the_last_commits(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=POOL_SIZE)
    at_once(lambda number: scene.decide(card, approve=True, by=f"person {number}"))
    assert scene.card(card).status is CardStatus.APPROVED
    assert len(scene.card(card).approvals) == POOL_SIZE
    assert scene.world.committed(scene.tenant_id) == set(planned.ids)
    assert Counter(scene.kinds(planned.plan_id))["review.approved"] == POOL_SIZE - 1


def test_one_person_approves_once_however_often_they_try(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=2)

    def approve_it(_: int) -> bool:
        with suppress(Conflict):
            scene.decide(card, approve=True, by="ann")
            return True
        return False

    assert sum(at_once(approve_it)) == 1
    assert scene.card(card).approvals == ("ann",)
    assert scene.world.committed(scene.tenant_id) == set()
    assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]


def test_of_edits_and_decisions_at_once_one_is_taken(scene: Scene) -> None:
    planned, [card] = scene.in_review()

    def change(number: int) -> bool:
        with suppress(Conflict):
            if number % 2:
                scene.edit(card, f"version {number}", by=f"person {number}")
            else:
                scene.decide(card, approve=False, by=f"person {number}", note="no")
            return True
        return False

    assert sum(at_once(change)) == 1
    assert Counter(scene.kinds(planned.plan_id))["task.decided"] == 2
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def sessions(scene: Scene) -> SessionControl:
    control = PlanControl(scene.world.control, FakeQueue(), scene.world.clock, wave_size=400)
    return SessionControl(scene.world.sessions, control)


def test_a_session_s_first_plans_make_it_once(scene: Scene) -> None:
    at_once(lambda _: scene.submit(session_id="s"))
    assert scene.world.sessions.get(scene.tenant_id, "s").plans == POOL_SIZE
    assert len(scene.recorded("session.opened")) == 1


def test_a_plan_comes_before_its_session_s_stop_and_is_cancelled_or_after_it_and_is_refused(scene: Scene) -> None:
    scene.submit(session_id="s")

    def act(number: int) -> list[UUID]:
        if number == 0:
            sessions(scene).stop(scene.tenant_id, "s", "ann")
        stored = []
        with suppress(SessionStopped):
            stored += [scene.submit(session_id="s") for _ in range(20)]
        return stored

    stored = [plan_id for plans in at_once(act) for plan_id in plans]
    assert len(stored) < 20 * POOL_SIZE
    assert {scene.state(plan_id) for plan_id in stored} <= {PlanState.CANCELLED}
    assert scene.world.sessions.get(scene.tenant_id, "s").open_plans == 0


def test_a_plan_of_a_session_that_is_paused_meanwhile_waits(scene: Scene) -> None:
    scene.submit(session_id="s")

    def act(number: int) -> None:
        if number == 0:
            sessions(scene).pause(scene.tenant_id, "s", "ann")
        for _ in range(20):
            scene.submit(session_id="s")

    at_once(act)
    plans = scene.world.plans.list_plans(scene.tenant_id, 1000, None, "s")
    assert len(plans) == 1 + 20 * POOL_SIZE
    assert all(plan.paused for plan in plans)


def test_who_pauses_and_who_resumes_at_once_leave_the_plans_as_the_session_says(scene: Scene) -> None:
    for _ in range(40):
        scene.submit(session_id="s")

    def act(number: int) -> None:
        for turn in range(10):
            change = sessions(scene).pause if (number + turn) % 2 else sessions(scene).resume
            change(scene.tenant_id, "s", f"person-{number}")

    at_once(act)
    state = scene.world.sessions.get(scene.tenant_id, "s").state
    plans = scene.world.plans.list_plans(scene.tenant_id, 1000, None, "s")
    assert {plan.paused for plan in plans} == {state is SessionState.PAUSED}


def test_a_session_s_change_its_plans_retries_and_new_plans_do_not_block_one_another(scene: Scene) -> None:
    planned = scene.plan(8, session_id="s")
    scene.judge(scene.work_off(planned), deny)
    control = sessions(scene)

    def act(number: int) -> None:
        if number == 0:
            for _ in range(5):
                control.pause(scene.tenant_id, "s", "ann")
                control.resume(scene.tenant_id, "s", "ann")
        elif number == 1:
            for task_id in planned.ids:
                scene.retry(planned.plan_id, RetryKind.DENIED, task_id=task_id)
        else:
            for _ in range(10):
                scene.submit(session_id="s")

    at_once(act)
    plans = scene.world.plans.list_plans(scene.tenant_id, 1000, None, "s")
    assert len(plans) == 1 + 8 + 10 * (POOL_SIZE - 2)
    assert not any(plan.paused for plan in plans)


def test_a_session_is_not_changed_while_its_plans_are_for_its_sake(scene: Scene, app_database: Database) -> None:
    scene.submit(session_id="s")
    scene.world.sessions.change(scene.tenant_id, "s", SessionState.PAUSED, "ann")
    with app_database.transaction(scene.tenant_id) as pausing:
        assert is_held(pausing, scene.tenant_id, "s", SessionState.PAUSED)
        with pytest.raises((StoreRefused, StoreUnavailable), match="lock timeout"):
            _resume_at_once(app_database, scene.tenant_id)


def _resume_at_once(database: Database, tenant_id: str) -> None:
    """Opens every session of the tenant, or gives up within 100 ms."""
    with database.transaction(tenant_id) as connection:
        connection.execute("set local lock_timeout = '100ms'")
        connection.execute("update session set state = 'open' returning state").fetchone()
