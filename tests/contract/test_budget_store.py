"""Budgets: what is set aside before tasks go out, what is settled, and what becomes of what does not fit."""

from decimal import Decimal
from uuid import UUID

import pytest

from chimera.errors import PlanNotFound, UnknownTenant
from chimera.models.budget.budget import Limit, Sum, over_budget
from chimera.models.gate.deciding import WaveDecision
from chimera.models.gate.policy import Amount, AtLimit, Budget, Policy, SkillPolicy
from chimera.models.record import canonical_json, sha256
from chimera.models.work.decision import Decision
from chimera.models.work.plan import PlanState
from chimera.models.work.result import FailureOutcome, Result, Usage
from chimera.models.work.retry import RetryKind
from chimera.models.work.task import TaskState
from chimera.models.work.wave import WaveRef
from chimera.ports.wave_store import OutgoingWave
from tests.contract.scene import EPOCH, Claim, Planned, Says, Scene, approve, deny, failure, retry, success

CENT = Decimal("0.01")


def usd(cents: int) -> Amount:
    return Amount(cost_usd=cents * CENT)


def cents(count: int, tokens: int = 0) -> Sum:
    return Sum(count * CENT, tokens)


class Purse:
    """A scene with a budget: each attempt at `echo` sets 5 cents aside, at `cheap` one."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.version = ""

    def budget(self, **fields: object) -> "Purse":
        policy = Policy(
            name="with-budget",
            skills={"echo": SkillPolicy(reserve=usd(5), degrade_to="cheap"), "cheap": SkillPolicy(reserve=usd(1))},
            budget=Budget.model_validate(fields),
        )
        applied = self.scene.world.policy_changes.apply(self.scene.tenant_id, policy, "cfo")
        self.version = applied.version
        return self

    def no_budget(self) -> None:
        self.version = self.scene.world.policy_changes.apply(self.scene.tenant_id, Policy(name="free"), "cfo").version

    def send(self, *, of_judge: bool = False) -> dict[WaveRef, OutgoingWave]:
        world = self.scene.world
        waves = (world.waves_of_judge if of_judge else world.waves).take_next(self.scene.tenant_id, 8)
        if waves:
            world.waves.mark_published([wave.wave for wave in waves], EPOCH)
        return {wave.wave: wave for wave in waves}

    def claim(self, planned: Planned) -> Claim:
        """All tasks that can be claimed."""
        return self.scene.claim(planned.wave, planned.ids)

    def stage(self, claim: Claim, *costs: int, outcome: FailureOutcome | None = None) -> None:
        text = canonical_json((outcome or success()).model_dump(mode="json"))
        now = self.scene.world.clock.now()
        results = [
            Result(
                task_id=task.task_id,
                attempt=task.attempt,
                outcome=text,
                sha256=sha256(text),
                usage=Usage(cost_usd=cost * CENT, tokens=cost * 100),
                started_at=now,
                finished_at=now,
            )
            for task, cost in zip(claim.tasks, costs, strict=True)
        ]
        assert self.scene.world.work.stage(claim.wave, self.scene.agent_id, claim.token, results) == len(results)

    def judge(self, wave: WaveRef, says: Says = approve) -> int:
        """Decides on all that waits for the Judge."""
        waiting = self.scene.world.decisions.open_wave(wave)
        decisions = [says(staged) for staged in waiting.staged]
        decisions += [
            WaveDecision(
                decision=Decision(
                    task_id=task.task_id,
                    attempt=task.attempt,
                    ruling=over_budget(task.limit),
                    result_sha256=b"",
                    decided_by="policy",
                    policy_version=self.version,
                ),
                found=TaskState.QUEUED,
            )
            for task in waiting.refused
        ]
        named = [
            item.model_copy(update={"decision": item.decision.model_copy(update={"policy_version": self.version})})
            for item in decisions
        ]
        return self.scene.world.decisions.decide_wave(wave, named).requeued

    def day(self) -> tuple[Sum, Sum]:
        """What is reserved and spent today."""
        today = self.scene.world.budgets.standing(self.scene.tenant_id, None, 10).today.account
        return today.reserved, today.spent

    def of_plan(self, planned: Planned) -> tuple[Sum, Sum]:
        standing = self.scene.world.budgets.standing(self.scene.tenant_id, planned.plan_id, 10)
        [found] = standing.plans
        return found.account.reserved, found.account.spent

    def allow(self, amount: Sum, plan_id: UUID | None = None) -> None:
        self.scene.world.budget_changes.allow(self.scene.tenant_id, plan_id, amount, "cfo")


@pytest.fixture
def purse(scene: Scene) -> Purse:
    return Purse(scene)


def test_what_fits_is_set_aside_and_goes_out_and_the_rest_waits(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(12))
    planned = scene.plan(4)
    sent = purse.send()[planned.wave]
    assert [task.task_id for task in sent.tasks] == planned.ids[:2]
    assert not sent.judge
    assert purse.day() == purse.of_plan(planned) == (cents(10), cents(0))
    assert purse.claim(planned).ids == planned.ids[:2], "nothing else is claimed, whatever a message names"
    assert purse.send() == {}, "it waits until something is settled"


def test_what_is_settled_for_less_leaves_room_for_others(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(12))
    planned = scene.plan(4)
    purse.send()
    purse.stage(purse.claim(planned), 1, 1)
    assert purse.day() == (cents(10), cents(0)), "staged is not settled"
    purse.judge(planned.wave)
    assert purse.day() == purse.of_plan(planned) == (cents(0), cents(2, 200))
    assert scene.tenant_id in scene.world.sweep.waiting_tenants()
    again = purse.send(of_judge=True)[planned.wave]
    assert [task.task_id for task in again.tasks] == planned.ids[2:]
    purse.stage(purse.claim(planned), 5, 5)
    purse.judge(planned.wave)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert purse.day() == (cents(0), cents(12, 1200))


def test_at_the_limit_the_rest_is_denied_and_the_plan_ends(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(10))
    planned = scene.plan(4)
    purse.send()
    purse.stage(purse.claim(planned), 5, 5)
    purse.judge(planned.wave)
    sent = purse.send()[planned.wave]
    assert (sent.tasks, sent.judge) == ((), True)
    assert [task.limit for task in scene.world.decisions.open_wave(planned.wave).refused] == [Limit.DAY, Limit.DAY]
    assert purse.claim(planned).ids == []
    purse.judge(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED] * 2 + [TaskState.DENIED] * 2
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert purse.day() == (cents(0), cents(10, 1000))
    [reached] = [entry for entry in scene.entries(planned.plan_id) if entry.kind == "plan.budget_reached"]
    assert reached.facts is not None
    assert (reached.facts["limit"], reached.facts["tasks"]) == ("budget.day", 2)


def test_the_sweep_finds_what_is_to_be_denied(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(3))
    planned = scene.plan(2)
    purse.send()
    scene.pass_time(2)
    needs = scene.look_at(planned.wave)
    assert needs is not None
    assert (needs.judge, needs.again) == (True, False)
    purse.judge(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.DENIED] * 2


def test_what_waits_for_others_is_not_sent_over_and_over(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(7))
    planned = scene.plan(3)
    purse.send()
    claim = purse.claim(planned)
    scene.pass_time(20)
    needs = scene.look_at(planned.wave)
    assert needs is not None
    assert not needs.again
    purse.stage(claim, 1)


def test_a_message_that_was_lost_is_sent_again_with_what_is_set_aside(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(7))
    planned = scene.plan(3)
    purse.send()
    scene.pass_time(20)
    needs = scene.look_at(planned.wave)
    assert needs is not None
    assert needs.again
    assert [task.task_id for task in purse.send()[planned.wave].tasks] == planned.ids[:1]
    assert purse.day() == (cents(5), cents(0))


def test_a_sender_that_died_is_made_up_for(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(12))
    planned = scene.plan(4)
    purse.send()
    purse.stage(purse.claim(planned), 1, 1)
    purse.judge(planned.wave)
    [wave] = scene.world.waves.take_next(scene.tenant_id, 8)
    assert len(wave.tasks) == 2  # and it is never sent
    assert purse.send() == {}
    scene.pass_time(4)
    assert len(purse.send()[planned.wave].tasks) == 2


def test_a_failure_that_reports_nothing_gives_back_what_was_set_aside(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(5))
    planned = scene.plan(1)
    purse.send()
    purse.stage(purse.claim(planned), 0, outcome=failure())
    assert purse.judge(planned.wave, retry) == 1
    assert purse.day() == (cents(0), cents(0))
    assert len(purse.send()[planned.wave].tasks) == 1
    assert purse.day() == (cents(5), cents(0))
    assert purse.claim(planned).tasks[0].attempt == 2


def test_an_attempt_that_was_lost_counts_as_spent_in_full(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(10))
    planned = scene.plan(1)
    purse.send()
    late = purse.claim(planned)
    scene.lose(planned.wave)
    assert purse.day() == (cents(0), cents(5))
    assert len(purse.send()[planned.wave].tasks) == 1
    purse.stage(purse.claim(planned), 2)
    assert scene.stage(late) == 0
    purse.judge(planned.wave)
    assert purse.day() == purse.of_plan(planned) == (cents(0), cents(7, 200))


def test_what_is_given_back_unstarted_keeps_what_is_set_aside(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(5))
    planned = scene.plan(1)
    purse.send()
    claim = purse.claim(planned)
    scene.world.work.release(planned.wave, claim.token, planned.ids)
    assert purse.day() == (cents(5), cents(0))
    assert purse.claim(planned).ids == planned.ids


def test_more_than_was_set_aside_is_settled_as_it_is_and_ends_it(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(20))
    planned = scene.plan(4)
    purse.send()
    claim = scene.claim(planned.wave, planned.ids[:2])
    purse.stage(claim, 30, 5)
    purse.judge(planned.wave)
    assert purse.day() == (cents(10), cents(35, 3500)), "what is set aside already stays so"
    today = scene.world.budgets.standing(scene.tenant_id, None, 10).today.account
    assert today.overrun == cents(25, 3500)
    assert "budget.overrun" in scene.kinds(planned.plan_id)
    other = scene.plan(1)
    assert purse.send()[other.wave].judge


def test_a_stopped_plan_gives_back_what_it_did_not_begin(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(100))
    planned = scene.plan(3)
    purse.send()
    purse.stage(scene.claim(planned.wave, planned.ids[:1]), 3)
    scene.claim(planned.wave, planned.ids[1:2])
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert purse.day() == (cents(0), cents(8, 300)), "3 reported, 5 of a call that was ended, nothing of the third"


def test_paused_plans_hold_nothing_that_others_could_use(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(10))
    paused, other = scene.plan(2), scene.plan(2)
    assert len(purse.send()[paused.wave].tasks) == 2
    scene.pause(paused.plan_id)
    assert len(purse.send()[other.wave].tasks) == 2
    assert purse.of_plan(paused) == (cents(0), cents(0))
    assert purse.day() == (cents(10), cents(0))
    scene.resume(paused.plan_id)
    assert purse.send()[paused.wave].tasks == (), "it waits behind the other"
    assert purse.claim(paused).ids == []


def test_a_plan_s_limit_is_its_own(scene: Scene, purse: Purse) -> None:
    purse.budget(plan=usd(5))
    first, second = scene.plan(2), scene.plan(2)
    sent = purse.send()
    assert [len(sent[planned.wave].tasks) for planned in (first, second)] == [1, 1]
    purse.stage(purse.claim(first), 5)
    purse.judge(first.wave)
    purse.send()
    purse.judge(first.wave)
    assert scene.states(first.plan_id) == [TaskState.APPROVED, TaskState.DENIED]
    assert scene.states(second.plan_id) == [TaskState.QUEUED] * 2


def test_a_task_s_limit_is_for_all_of_its_attempts(scene: Scene, purse: Purse) -> None:
    purse.budget(task=usd(9), at_limit=AtLimit.HITL)
    planned = scene.plan(2)
    purse.send()
    purse.stage(purse.claim(planned), 5, 1)
    purse.judge(planned.wave, retry)
    sent = purse.send()[planned.wave]
    assert [task.task_id for task in sent.tasks] == planned.ids[1:]
    assert sent.judge, "nobody can allow one task more: it is denied, and its plan goes on"
    purse.judge(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.DENIED, TaskState.QUEUED]


def test_tokens_are_a_limit_like_money(scene: Scene) -> None:
    policy = Policy(
        skills={"echo": SkillPolicy(reserve=Amount(tokens=400))}, budget=Budget(day=Amount(tokens=1000, cost_usd=None))
    )
    scene.world.policy_changes.apply(scene.tenant_id, policy, "cfo")
    planned = scene.plan(3)
    assert len(Purse(scene).send()[planned.wave].tasks) == 2
    assert Purse(scene).day() == (Sum(tokens=800), Sum())


def test_degraded_tasks_run_the_cheaper_skill(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(7), at_limit=AtLimit.DEGRADE)
    planned = scene.plan(4)
    assert len(purse.send()[planned.wave].tasks) == 1
    purse.stage(purse.claim(planned), 5)
    purse.judge(planned.wave)
    sent = purse.send()[planned.wave]
    assert [task.skill for task in sent.tasks] == ["cheap", "cheap"]
    assert not sent.judge, "the fourth could still fit when these cost less"
    claim = purse.claim(planned)
    assert [task.skill for task in claim.tasks] == ["cheap", "cheap"]
    purse.stage(claim, 1, 1)
    purse.judge(planned.wave)
    assert purse.send()[planned.wave].judge, "where the cheaper one does not fit either: stop"
    purse.judge(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED] * 3 + [TaskState.DENIED]
    costs = scene.world.budgets.costs(scene.tenant_id, planned.plan_id, (-1, -1), 10)
    assert [cost.spent for cost in costs] == [cents(5, 500), cents(1, 100), cents(1, 100), cents(0)]
    assert [cost.degraded_from for cost in costs] == [None, "echo", "echo", None]
    assert [cost.ordinal for cost in scene.world.budgets.costs(scene.tenant_id, planned.plan_id, (0, 1), 1)] == [2]


def test_hitl_pauses_the_plan_until_somebody_allows_more(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(5), at_limit=AtLimit.HITL)
    planned = scene.plan(2)
    purse.send()
    purse.stage(purse.claim(planned), 5)
    purse.judge(planned.wave)
    assert purse.send() == {}
    assert scene.shown(planned.plan_id).paused_by == Limit.DAY
    assert scene.world.sweep.resume_in_budget() == []
    assert scene.shown(planned.plan_id).paused
    scene.pass_time(1)
    purse.allow(cents(3))
    [resumed] = [plan for plan in scene.world.sweep.resume_in_budget() if plan.tenant_id == scene.tenant_id]
    assert resumed.plan_id == planned.plan_id
    assert purse.send()[planned.wave].tasks == (), "that was not enough: it is paused again"
    assert scene.shown(planned.plan_id).paused
    scene.pass_time(1)
    purse.allow(cents(2))
    scene.world.sweep.resume_in_budget()
    assert len(purse.send()[planned.wave].tasks) == 1
    assert purse.day() == (cents(5), cents(5, 500))
    kinds = scene.kinds(planned.plan_id)
    assert kinds.count("plan.paused") == 2
    assert kinds.count("plan.resumed") == 2


def test_a_plan_s_own_limit_is_raised_once(scene: Scene, purse: Purse) -> None:
    purse.budget(plan=usd(5), at_limit=AtLimit.HITL)
    planned, other = scene.plan(2), scene.plan(2)
    purse.send()
    for each in (planned, other):
        purse.stage(purse.claim(each), 5)
        purse.judge(each.wave)
    purse.send()
    assert scene.shown(planned.plan_id).paused_by == scene.shown(other.plan_id).paused_by == Limit.PLAN
    scene.pass_time(1)
    purse.allow(cents(5), planned.plan_id)
    assert [plan.plan_id for plan in scene.world.sweep.resume_in_budget() if plan.tenant_id == scene.tenant_id] == [
        planned.plan_id
    ]
    assert "budget.allowed" in scene.kinds(planned.plan_id)
    assert list(purse.send()) == [planned.wave]
    assert scene.shown(other.plan_id).paused


def test_a_person_may_resume_it_and_it_is_paused_again_while_nothing_is_left(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(4), at_limit=AtLimit.HITL)
    planned = scene.plan(1)
    purse.send()
    assert scene.shown(planned.plan_id).paused
    scene.resume(planned.plan_id)
    purse.send()
    assert scene.shown(planned.plan_id).paused


def test_a_person_s_pause_outlasts_the_budget_s(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(4), at_limit=AtLimit.HITL)
    planned = scene.plan(1)
    purse.send()
    assert scene.shown(planned.plan_id).paused_by == Limit.DAY
    scene.pause(planned.plan_id)
    assert scene.shown(planned.plan_id).paused_by == "ann"
    scene.world.pass_midnight(scene.tenant_id)
    purse.allow(cents(5))
    assert planned.plan_id not in {plan.plan_id for plan in scene.world.sweep.resume_in_budget()}


def test_the_next_day_has_its_own_budget(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(5), at_limit=AtLimit.HITL)
    planned = scene.plan(3)
    purse.send()
    purse.stage(purse.claim(planned), 5)
    purse.judge(planned.wave)
    purse.send()
    assert scene.shown(planned.plan_id).paused
    scene.world.pass_midnight(scene.tenant_id)
    assert purse.day() == (cents(0), cents(0))
    assert planned.plan_id in {plan.plan_id for plan in scene.world.sweep.resume_in_budget()}
    assert len(purse.send()[planned.wave].tasks) == 1
    assert purse.of_plan(planned) == (cents(5), cents(5, 500))


def test_what_was_set_aside_yesterday_is_settled_yesterday(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(5))
    planned = scene.plan(1)
    purse.send()
    claim = purse.claim(planned)
    scene.world.pass_midnight(scene.tenant_id)
    renewed = scene.world.work.renew(planned.wave, claim.token, 60.0)
    assert renewed.held
    purse.stage(claim, 5)
    purse.judge(planned.wave)
    assert purse.day() == (cents(0), cents(0))
    assert purse.of_plan(planned) == (cents(0), cents(5, 500))


def test_another_policy_lets_paused_plans_go_on(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(4), at_limit=AtLimit.HITL)
    planned = scene.plan(1)
    purse.send()
    scene.pass_time(1)
    purse.budget(day=usd(5), at_limit=AtLimit.HITL)
    assert planned.plan_id in {plan.plan_id for plan in scene.world.sweep.resume_in_budget()}
    assert len(purse.send()[planned.wave].tasks) == 1


def test_a_lower_limit_takes_nothing_back_and_sets_nothing_more_aside(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(20))
    planned = scene.plan(2)
    purse.send()
    purse.budget(day=usd(5))
    other = scene.plan(1)
    assert purse.send()[other.wave].tasks == ()
    assert purse.day() == (cents(10), cents(0))
    purse.stage(purse.claim(planned), 5, 5)
    purse.judge(planned.wave)
    assert purse.day() == (cents(0), cents(10, 1000))


def test_a_budget_that_ends_lets_everything_go(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(7))
    planned = scene.plan(3)
    purse.send()
    running = purse.claim(planned)
    purse.no_budget()
    purse.send()
    assert scene.tenant_id in scene.world.sweep.waiting_tenants()
    assert {task.task_id for task in purse.send()[planned.wave].tasks} == set(planned.ids[1:])
    claim = purse.claim(planned)
    assert len(claim.tasks) == 2
    purse.stage(claim, 9, 9)
    purse.stage(running, 2)
    purse.judge(planned.wave)
    assert purse.day() == (cents(0), cents(2, 200)), "what was set aside is settled; what was not is not counted"


def test_a_budget_that_begins_stops_what_was_sent_without(scene: Scene, purse: Purse) -> None:
    planned = scene.plan(2)
    purse.send()
    purse.budget(day=usd(5))
    assert purse.claim(planned).ids == []
    scene.pass_time(20)
    needs = scene.look_at(planned.wave)
    assert needs is not None
    assert needs.again
    assert len(purse.send()[planned.wave].tasks) == 1


def test_many_small_ones_do_not_keep_a_large_one_waiting(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(8))
    running = scene.plan(1, priority=60)
    purse.send()
    waiting, small = scene.plan(1, priority=55), scene.plan(1)
    sent = purse.send()
    assert sent[waiting.wave].tasks == sent[small.wave].tasks == ()
    purse.stage(purse.claim(running), 1)
    purse.judge(running.wave)
    assert list(purse.send()) == [waiting.wave]


def test_a_tenant_without_a_budget_leaves_no_trace(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.judge(scene.work_off(planned), approve)
    standing = scene.world.budgets.standing(scene.tenant_id, None, 10)
    assert standing.plans == []
    assert standing.today.account.spent == Sum()
    costs = scene.world.budgets.costs(scene.tenant_id, planned.plan_id, (-1, -1), 10)
    assert [(cost.reserved, cost.spent) for cost in costs] == [(Sum(), Sum())] * 2


def test_another_tenant_spends_of_its_own(scene: Scene, stranger: Scene, purse: Purse) -> None:
    purse.budget(day=usd(5))
    theirs = Purse(stranger).budget(day=usd(5))
    mine, other = scene.plan(1), stranger.plan(1)
    assert len(purse.send()[mine.wave].tasks) == 1
    assert len(theirs.send()[other.wave].tasks) == 1
    with pytest.raises(PlanNotFound):
        scene.world.budgets.standing(scene.tenant_id, other.plan_id, 10)
    with pytest.raises(PlanNotFound):
        scene.world.budget_changes.allow(scene.tenant_id, other.plan_id, cents(1), "cfo")


def test_nobody_allows_more_to_a_tenant_that_is_not_there(scene: Scene) -> None:
    with pytest.raises(UnknownTenant):
        scene.world.budget_changes.allow("nobody-at-all", None, cents(1), "cfo")


def test_a_retry_tries_the_skill_that_the_task_was_planned_for(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(1), at_limit=AtLimit.DEGRADE)
    planned = scene.plan(1)
    purse.send()
    purse.stage(purse.claim(planned), 1)
    purse.judge(planned.wave, deny)
    retried = scene.retry(planned.plan_id, RetryKind.DENIED)
    assert [result.skill for result in scene.results(retried.plan_id)] == ["echo"]
    assert [result.skill for result in scene.results(planned.plan_id)] == ["cheap"]


def test_what_no_column_holds_counts_as_the_most_that_it_does(scene: Scene, purse: Purse) -> None:
    purse.budget(day=usd(100))
    planned = scene.plan(2)
    purse.send()
    purse.stage(purse.claim(planned), 10**11 - 1, 10**11 - 1)
    purse.judge(planned.wave)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    assert purse.day()[1].cost_usd >= 999_999_999
