"""Decisions and what they change."""

import pytest

from chimera.errors import CardAlreadyDecided, CardNotFound, Conflict
from chimera.models.audit.kinds import AuditKind
from chimera.models.gate.deciding import NOTHING_DECIDED
from chimera.models.gate.gate import state_conflict
from chimera.models.gate.review import CardStatus
from chimera.models.ids import IdKind, format_id
from chimera.models.record import canonical_json, sha256
from chimera.models.work.decision import Verdict
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.ports.card_store import CardDecision
from tests.contract.scene import POLICY, Planned, Scene, approve, deny, facts_of, failure, give_up, retry, success

# What waits for the Judge.


def test_a_wave_shows_what_it_has_staged_in_the_plan_s_order(scene: Scene) -> None:
    planned = scene.plan(3)
    scene.send()
    for task_id in planned.ids[::-1]:
        scene.stage(scene.claim(planned.wave, [task_id]), success("so"))
    waiting = scene.world.decisions.open_wave(planned.wave)
    assert [staged.task_id for staged in waiting.staged] == planned.ids
    assert waiting.lost == ()
    staged = waiting.staged[0]
    text = canonical_json(success("so").model_dump(mode="json"))
    assert (staged.skill, staged.input, staged.outcome) == ("echo", {"text": "hello"}, success("so"))
    assert (staged.attempt, staged.max_attempts, staged.sha256) == (1, 3, sha256(text))
    assert (staged.state_key, staged.state_version) == (None, None)


def test_a_wave_shows_results_up_to_so_many_bytes(scene: Scene) -> None:
    planned = scene.plan(5)
    scene.send()
    for number, task_id in enumerate(planned.ids):
        scene.stage(scene.claim(planned.wave, [task_id]), success("much " * 100_000 if number % 2 else "so"))
    for most, shown in (
        (1, [0]),
        (400_000, [0]),
        (600_000, [0, 1, 2]),
        (2_000_000, [0, 1, 2, 3, 4]),
        (None, [0, 1, 2, 3, 4]),
    ):
        waiting = scene.world.decisions.open_wave(planned.wave, most)
        assert [planned.ids.index(staged.task_id) for staged in waiting.staged] == shown
        assert (1_000_000 < waiting.bytes < 1_010_000, waiting.is_left) == (True, len(shown) < 5)
    scene.judge(planned.wave, approve)
    assert scene.world.decisions.open_wave(planned.wave, 1).bytes == 0
    again = scene.plan(1)
    scene.work_off(again, success("much " * 100_000))
    assert len(scene.world.decisions.open_wave(again.wave, 1).staged) == 1


def test_a_wave_shows_nothing_of_tasks_that_wait_run_or_are_decided(scene: Scene) -> None:
    planned = scene.plan(3)
    scene.send()
    scene.claim(planned.wave, planned.ids[:1])
    scene.stage(scene.claim(planned.wave, planned.ids[1:2]))
    scene.judge(planned.wave, approve)
    waiting = scene.world.decisions.open_wave(planned.wave)
    assert (waiting.staged, waiting.lost) == ((), ())


def test_a_wave_shows_nothing_of_other_waves_or_tenants(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1, 1)
    scene.work_off(planned)
    theirs = planned.wave.model_copy(update={"tenant_id": stranger.tenant_id})
    for wave in (planned.waves[1], theirs):
        assert scene.world.decisions.open_wave(wave).staged == ()


def test_a_task_is_lost_when_its_last_lease_ran_out(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=2)
    for attempt in (1, 2):
        scene.send()
        scene.claim(planned.wave, planned.ids, lease_seconds=60)
        assert scene.world.decisions.open_wave(planned.wave).lost == ()
        scene.lose(planned.wave)
        lost = [(task.task_id, task.attempt) for task in scene.world.decisions.open_wave(planned.wave).lost]
        assert lost == ([] if attempt == 1 else [(planned.ids[0], 2)])


# The Judge's decisions.


def test_approving_commits_and_completes_the_plan(scene: Scene) -> None:
    planned = scene.plan(2)
    assert scene.judge(scene.work_off(planned), approve) == 0
    plan = scene.shown(planned.plan_id)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED] * 2
    assert scene.world.committed(scene.tenant_id) == set(planned.ids)
    assert (plan.state, plan.counts.committed, plan.counts.open) == (PlanState.COMPLETED, 2, 0)
    assert plan.finished_at is not None


def test_denying_commits_nothing(scene: Scene) -> None:
    planned = scene.plan(1)
    assert scene.judge(scene.work_off(planned), deny) == 0
    assert scene.states(planned.plan_id) == [TaskState.DENIED]
    assert scene.world.committed(scene.tenant_id) == set()
    assert scene.shown(planned.plan_id).counts.denied == 1
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_asking_opens_a_card_and_the_plan_waits_for_people(scene: Scene) -> None:
    planned = scene.plan(1)
    assert scene.judge(scene.work_off(planned), scene.hitl) == 0
    assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]
    assert [card.task_id for card in scene.cards(status=CardStatus.PENDING)] == planned.ids
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.in_review, plan.finished_at) == (PlanState.IN_REVIEW, 1, None)
    assert scene.world.committed(scene.tenant_id) == set()


def test_a_task_sent_back_is_queued_and_counted_as_such(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.work_off(planned, failure())
    assert scene.judge(planned.wave, retry) == 2
    assert scene.states(planned.plan_id) == [TaskState.QUEUED] * 2
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.open) == (PlanState.RUNNING, 2)


def test_lost_tasks_end_exhausted(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=1)
    scene.send()
    scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(64)
    assert scene.judge(planned.wave, approve) == 0
    assert scene.states(planned.plan_id) == [TaskState.EXHAUSTED]
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.failed) == (PlanState.COMPLETED_WITH_FAILURES, 1)


def test_a_wave_judged_in_part_leaves_its_plan_running(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.judge(planned.wave, approve)
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.committed, plan.counts.open) == (PlanState.RUNNING, 1, 1)
    scene.stage(scene.claim(planned.wave, planned.ids[1:]))
    scene.judge(planned.wave, approve)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_a_plan_ends_with_its_last_wave(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    scene.judge(scene.work_off(planned), approve)
    assert scene.state(planned.plan_id) is PlanState.RUNNING
    scene.judge(scene.work_off(planned, wave_no=1), scene.hitl)
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW


def test_a_plan_with_one_task_in_review_waits_for_people(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    scene.judge(scene.work_off(planned), scene.hitl)
    assert scene.state(planned.plan_id) is PlanState.RUNNING
    scene.judge(scene.work_off(planned, wave_no=1), approve)
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW


def test_every_decision_is_audited_and_then_the_plan_s_end(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.work_off(planned)
    first = planned.ids[0]
    scene.judge(planned.wave, lambda staged: (approve if staged.task_id == first else deny)(staged))
    entries = scene.entries(planned.plan_id)[2:]
    assert [(entry.kind, entry.actor, entry.task_id) for entry in entries] == [
        ("task.decided", "policy", planned.ids[0]),
        ("task.decided", "policy", planned.ids[1]),
        ("plan.completed", "judge", None),
    ]
    facts = [(entry.facts or {}) for entry in entries]
    assert [fact.get("verdict") for fact in facts] == [Verdict.APPROVE, Verdict.DENY, None]
    text = canonical_json(success().model_dump(mode="json"))
    assert facts[0] == {
        "agent_id": format_id(IdKind.AGENT, scene.agent_id),
        "attempt": 1,
        "verdict": "approve",
        "state": "approved",
        "final": True,
        "committed": True,
        "reasons": [],
        "policy_version": POLICY,
        "result_sha256": sha256(text).hex(),
    }
    assert facts[1]["reasons"][0]["rule"] == "output.schema"
    assert facts[1]["committed"] is False


def test_the_entry_of_a_referral_names_its_card(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    [entry] = [entry for entry in scene.entries(planned.plan_id) if entry.kind == "task.decided"]
    facts = facts_of(entry)
    assert (facts["verdict"], facts["committed"], facts["card_id"]) == (Verdict.HITL, False, card.card_id.hex)


@pytest.mark.parametrize("size", [1, 2])
def test_deciding_twice_changes_nothing(scene: Scene, size: int) -> None:
    planned = scene.plan(size)
    scene.work_off(planned)
    decisions = [approve(staged) for staged in scene.world.decisions.open_wave(planned.wave).staged]
    scene.world.decisions.decide_wave(planned.wave, decisions)
    entries, plan = scene.entries(), scene.shown(planned.plan_id)
    assert scene.world.decisions.decide_wave(planned.wave, decisions) == NOTHING_DECIDED
    assert scene.entries() == entries
    assert scene.shown(planned.plan_id) == plan


def test_asking_twice_opens_one_card(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.work_off(planned)
    [staged] = scene.world.decisions.open_wave(planned.wave).staged
    for _ in range(2):
        scene.world.decisions.decide_wave(planned.wave, [scene.hitl(staged)])
    assert len(scene.cards(planned.plan_id)) == 1


def test_a_retry_decided_twice_does_not_send_the_next_attempt_back(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.work_off(planned, failure())
    [staged] = scene.world.decisions.open_wave(planned.wave).staged
    assert scene.world.decisions.decide_wave(planned.wave, [retry(staged)]).requeued == 1
    assert scene.world.decisions.decide_wave(planned.wave, [retry(staged)]) == NOTHING_DECIDED
    scene.stage(scene.claim(planned.wave, planned.ids))
    assert scene.world.decisions.decide_wave(planned.wave, [retry(staged)]) == NOTHING_DECIDED
    assert scene.states(planned.plan_id) == [TaskState.STAGED]


def test_a_task_that_moved_on_is_left_out_and_the_others_are_decided(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.work_off(planned)
    waiting = scene.world.decisions.open_wave(planned.wave).staged
    scene.world.decisions.decide_wave(planned.wave, [deny(waiting[0])])
    scene.world.decisions.decide_wave(planned.wave, [approve(staged) for staged in waiting])
    assert scene.states(planned.plan_id) == [TaskState.DENIED, TaskState.APPROVED]
    assert scene.kinds(planned.plan_id).count("task.decided") == 2


def test_a_task_given_up_for_lost_is_left_out_when_its_result_came_after_all(scene: Scene) -> None:
    # A result that was stored is never thrown away.
    planned = scene.plan(1, max_attempts=1)
    scene.send()
    claim = scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(64)
    [lost] = scene.world.decisions.open_wave(planned.wave).lost
    assert scene.stage(claim) == 1
    scene.world.decisions.decide_wave(planned.wave, [give_up(lost)])
    assert scene.states(planned.plan_id) == [TaskState.STAGED]


def test_nothing_to_decide_is_nothing(scene: Scene) -> None:
    planned = scene.plan(1)
    assert scene.world.decisions.decide_wave(planned.wave, []) == NOTHING_DECIDED
    assert scene.state(planned.plan_id) is PlanState.RUNNING


def test_a_decision_in_another_tenant_s_name_changes_nothing(scene: Scene, stranger: Scene) -> None:
    planned = scene.plan(1)
    scene.work_off(planned)
    [staged] = scene.world.decisions.open_wave(planned.wave).staged
    theirs = planned.wave.model_copy(update={"tenant_id": stranger.tenant_id})
    assert scene.world.decisions.decide_wave(theirs, [approve(staged)]) == NOTHING_DECIDED
    assert scene.states(planned.plan_id) == [TaskState.STAGED]


def test_a_decision_in_another_wave_s_name_changes_nothing(scene: Scene) -> None:
    planned, other = scene.plan(1), scene.plan(1)
    scene.work_off(planned)
    [staged] = scene.world.decisions.open_wave(planned.wave).staged
    assert scene.world.decisions.decide_wave(other.wave, [approve(staged)]) == NOTHING_DECIDED
    assert scene.states(planned.plan_id) == [TaskState.STAGED]
    assert scene.state(other.plan_id) is PlanState.RUNNING


# Shared state.


def test_an_approved_output_becomes_shared_state(scene: Scene) -> None:
    planned = scene.plan(1, state_key="limits/eu")
    scene.judge(scene.work_off(planned, success({"limit": 5})), approve)
    assert scene.world.shared_state(scene.tenant_id, "limits/eu") == ({"limit": 5}, 1)


def test_the_next_task_sees_that_version_and_makes_another(scene: Scene) -> None:
    first, second = scene.plan(1, state_key="k"), scene.plan(1, state_key="k")
    scene.judge(scene.work_off(first, success("one")), approve)
    wave = scene.work_off(second, success("two"))
    [staged] = scene.world.decisions.open_wave(wave).staged
    assert (staged.state_key, staged.state_version) == ("k", 1)
    scene.judge(wave, approve)
    assert scene.world.shared_state(scene.tenant_id, "k") == ("two", 2)


def test_a_task_that_saw_an_older_version_is_ruled_on_as_a_conflict(scene: Scene) -> None:
    first, second = scene.plan(1, state_key="k"), scene.plan(1, state_key="k")
    scene.work_off(first, success("one"))
    scene.work_off(second, success("two"))
    scene.judge(first.wave, approve)
    assert scene.judge(second.wave, approve) == 1
    assert scene.states(second.plan_id) == [TaskState.QUEUED]
    assert scene.world.shared_state(scene.tenant_id, "k") == ("one", 1)
    assert scene.world.committed(scene.tenant_id) == set(first.ids)
    facts = scene.entries(second.plan_id)[-1].facts or {}
    assert facts["reasons"][0]["rule"] == "state.changed"


def test_a_conflict_on_the_last_attempt_exhausts_the_task(scene: Scene) -> None:
    first, second = scene.plan(1, state_key="k"), scene.plan(1, state_key="k", max_attempts=1)
    scene.work_off(first)
    scene.work_off(second)
    scene.judge(first.wave, approve)
    assert scene.judge(second.wave, approve) == 0
    assert scene.states(second.plan_id) == [TaskState.EXHAUSTED]


def test_of_two_tasks_that_want_one_key_the_first_in_the_plan_gets_it(scene: Scene) -> None:
    planned = scene.plan(2, state_key="k")
    assert scene.judge(scene.work_off(planned), approve) == 1
    assert scene.states(planned.plan_id) == [TaskState.APPROVED, TaskState.QUEUED]
    scene.stage(scene.claim(planned.wave, planned.ids), success("again"))
    scene.judge(planned.wave, approve)
    assert scene.world.shared_state(scene.tenant_id, "k") == ("again", 2)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_the_key_of_a_denied_task_is_free(scene: Scene) -> None:
    planned = scene.plan(2, state_key="k")
    scene.work_off(planned)
    first = planned.ids[0]
    scene.judge(planned.wave, lambda staged: (deny if staged.task_id == first else approve)(staged))
    assert scene.states(planned.plan_id) == [TaskState.DENIED, TaskState.APPROVED]
    assert scene.world.shared_state(scene.tenant_id, "k") == ("fine", 1)


def test_the_key_of_a_task_that_moved_on_is_free_too(scene: Scene) -> None:
    planned = scene.plan(2, state_key="k")
    scene.work_off(planned)
    first, second = scene.world.decisions.open_wave(planned.wave).staged
    scene.world.decisions.decide_wave(planned.wave, [deny(first)])
    assert scene.world.decisions.decide_wave(planned.wave, [approve(first), approve(second)]).requeued == 0
    assert scene.states(planned.plan_id) == [TaskState.DENIED, TaskState.APPROVED]


def test_shared_state_is_one_tenant_s_own(scene: Scene, stranger: Scene) -> None:
    for each, output in ((scene, "ours"), (stranger, "theirs")):
        each.judge(each.work_off(each.plan(1, state_key="k"), success(output)), approve)
    assert scene.world.shared_state(scene.tenant_id, "k") == ("ours", 1)
    assert scene.world.shared_state(stranger.tenant_id, "k") == ("theirs", 1)


def test_shared_state_stays_where_its_task_was_closed_meanwhile(scene: Scene) -> None:
    planned = scene.plan(1, state_key="k")
    scene.work_off(planned)
    [staged] = scene.world.decisions.open_wave(planned.wave).staged
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert scene.world.decisions.decide_wave(planned.wave, [approve(staged)]) == NOTHING_DECIDED
    assert scene.world.shared_state(scene.tenant_id, "k") is None
    assert scene.states(planned.plan_id) == [TaskState.CANCELLED]


def test_a_nul_in_an_output_does_not_keep_it_out_of_shared_state(scene: Scene) -> None:
    planned = scene.plan(1, state_key="k")
    scene.judge(scene.work_off(planned, success({"text": "a\x00b"})), approve)
    assert scene.world.shared_state(scene.tenant_id, "k") == ({"text": "a\x00b"}, 1)


def test_the_entry_of_an_approval_names_the_shared_state_that_it_made(scene: Scene) -> None:
    first, second = scene.plan(1, state_key="k"), scene.plan(1, state_key="k")
    scene.work_off(first)
    scene.work_off(second)
    scene.judge(first.wave, approve)
    scene.judge(second.wave, approve)
    [[made], [fallen]] = [
        [facts_of(entry) for entry in scene.entries(plan.plan_id) if entry.kind == "task.decided"]
        for plan in (first, second)
    ]
    assert (made["state_key"], made["state_version"]) == ("k", 1)
    assert not {"state_key", "state_version"} & fallen.keys()


def test_what_was_written_is_returned_with_the_ruling_that_it_was_written_with(scene: Scene) -> None:
    planned = scene.plan(3, state_key="k")
    scene.work_off(planned)
    first, second, third = scene.world.decisions.open_wave(planned.wave).staged
    scene.world.decisions.decide_wave(planned.wave, [deny(third)])
    decided = scene.world.decisions.decide_wave(planned.wave, [approve(first), approve(second), approve(third)])
    assert [decision.task_id for decision in decided.decisions] == planned.ids[:2]
    assert [decision.ruling for decision in decided.decisions] == [
        approve(first).decision.ruling,
        state_conflict(second),
    ]
    assert decided.requeued == 1


# Who ran what was decided on, and whose trace it is.


def agents_of(scene: Scene, planned: Planned) -> list[str | None]:
    """The agent that each decision's entry names, in order."""
    entries = scene.entries(planned.plan_id)
    return [facts_of(entry).get("agent_id") for entry in entries if entry.kind == AuditKind.TASK_DECIDED]


def test_what_is_written_names_the_agent_that_ran_the_attempt_and_the_plan_s_trace(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.work_off(planned)
    waiting = scene.world.decisions.open_wave(planned.wave)
    assert waiting.trace_id == scene.shown(planned.plan_id).trace_id
    assert [staged.agent_id for staged in waiting.staged] == [scene.agent_id] * 2
    decided = scene.world.decisions.decide_wave(planned.wave, list(map(approve, waiting.staged)))
    assert decided.trace_id == waiting.trace_id
    assert [decision.agent_id for decision in decided.decisions] == [scene.agent_id] * 2
    assert agents_of(scene, planned) == [format_id(IdKind.AGENT, scene.agent_id)] * 2


def test_a_lost_attempt_s_decision_names_the_agent_that_was_lost(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=1)
    scene.send()
    scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(64)
    scene.judge(planned.wave, approve)
    assert agents_of(scene, planned) == [format_id(IdKind.AGENT, scene.agent_id)]


def test_a_person_s_decision_names_the_agent_whose_result_it_is_about(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    decided = scene.decide(card, approve=True)
    assert decided.trace_id == scene.shown(planned.plan_id).trace_id
    assert [(each.task_id, each.decided_by, each.agent_id) for each in decided.decisions] == [
        (planned.ids[0], "ann", scene.agent_id)
    ]
    assert agents_of(scene, planned) == [format_id(IdKind.AGENT, scene.agent_id)] * 2


def test_where_a_plan_stops_each_decision_names_who_ran_its_attempt_if_anybody_did(scene: Scene) -> None:
    planned = scene.plan(5)
    scene.send()
    sent_back, running, staged, given_back, _ = ids = planned.ids
    scene.stage(scene.claim(planned.wave, [sent_back]), failure())
    scene.judge(planned.wave, retry)
    scene.claim(planned.wave, [running])
    scene.stage(scene.claim(planned.wave, [staged]))
    claim = scene.claim(planned.wave, [given_back])
    scene.world.work.release(planned.wave, claim.token, [given_back])
    scene.stop(planned.plan_id)
    decided = scene.stop_wave(planned.wave)
    assert decided.trace_id == scene.shown(planned.plan_id).trace_id
    found = {decision.task_id: decision.agent_id for decision in decided.decisions}
    assert found == dict.fromkeys(ids) | dict.fromkeys([sent_back, running, staged], scene.agent_id)


# Stopping.


def test_stopping_closes_every_open_task_and_card(scene: Scene) -> None:
    planned = scene.plan(4)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.judge(planned.wave, scene.hitl)
    scene.stage(scene.claim(planned.wave, planned.ids[1:2]))
    scene.claim(planned.wave, planned.ids[2:3])
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.CANCELLED] * 4
    [card] = scene.cards(planned.plan_id)
    assert (card.status, card.decided_by, card.version) == (CardStatus.CANCELLED, None, 2)
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.cancelled, plan.counts.in_review) == (PlanState.CANCELLED, 4, 0)
    assert plan.finished_at is not None


def test_stopping_leaves_what_is_decided(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.send()
    scene.stage(scene.claim(planned.wave, planned.ids[:1]))
    scene.judge(planned.wave, approve)
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED, TaskState.CANCELLED]
    assert scene.world.committed(scene.tenant_id) == set(planned.ids[:1])


def test_an_expired_plan_s_tasks_and_cards_expire(scene: Scene) -> None:
    planned, _ = scene.in_review()
    scene.stop(planned.plan_id, PlanState.EXPIRED)
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.EXPIRED]
    assert [card.status for card in scene.cards(planned.plan_id)] == [CardStatus.EXPIRED]
    assert scene.state(planned.plan_id) is PlanState.EXPIRED


def test_a_plan_stops_when_its_last_wave_is_closed(scene: Scene) -> None:
    planned = scene.plan(1, 1)
    scene.stop(planned.plan_id)
    assert scene.world.decisions.open_waves(scene.tenant_id, planned.plan_id) == list(planned.waves)
    scene.stop_wave(planned.waves[0])
    assert scene.state(planned.plan_id) is PlanState.STOPPING
    assert scene.world.decisions.open_waves(scene.tenant_id, planned.plan_id) == [planned.waves[1]]
    scene.stop_wave(planned.waves[1])
    assert scene.state(planned.plan_id) is PlanState.CANCELLED
    assert scene.world.decisions.open_waves(scene.tenant_id, planned.plan_id) == []


def test_a_plan_that_does_not_stop_has_no_waves_to_close(scene: Scene) -> None:
    planned = scene.plan(1)
    assert scene.world.decisions.open_waves(scene.tenant_id, planned.plan_id) == []
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.QUEUED]
    assert scene.world.decisions.open_waves(scene.tenant_id, scene.world.clock.new_id()) == []


def test_stopping_a_wave_twice_is_once(scene: Scene) -> None:
    planned = scene.plan(1)
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    kinds = scene.kinds(planned.plan_id)
    scene.stop_wave(planned.wave)
    assert scene.kinds(planned.plan_id) == kinds
    assert kinds[-2:] == ["task.decided", "plan.cancelled"]


def test_nothing_is_committed_after_a_plan_was_stopped(scene: Scene) -> None:
    planned = scene.plan(2)
    scene.work_off(planned)
    scene.stop(planned.plan_id)
    assert scene.judge(planned.wave, approve) == 0
    assert scene.states(planned.plan_id) == [TaskState.STAGED] * 2
    assert scene.world.decisions.open_waves(scene.tenant_id, planned.plan_id) == [planned.wave]
    scene.stop_wave(planned.wave)
    assert scene.state(planned.plan_id) is PlanState.CANCELLED
    assert scene.states(planned.plan_id) == [TaskState.CANCELLED] * 2


def test_a_card_is_not_approved_after_its_plan_was_stopped(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.stop(planned.plan_id)
    with pytest.raises(Conflict):
        scene.decide(card, approve=True, by="ann", note="too late")
    scene.stop_wave(planned.wave)
    assert scene.states(planned.plan_id) == [TaskState.CANCELLED]


# People's decisions.


def test_a_person_s_approval_commits(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.decide(card, approve=True, by="ann", note="looks right")
    assert scene.states(planned.plan_id) == [TaskState.APPROVED]
    assert scene.world.committed(scene.tenant_id) == set(planned.ids)
    decided = scene.world.reviews.card(scene.tenant_id, card.card_id)
    assert (decided.status, decided.version) == (CardStatus.APPROVED, 2)
    assert (decided.decided_by, decided.note) == ("ann", "looks right")
    assert decided.decided_at is not None
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_a_person_s_denial_commits_nothing(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.decide(card, approve=False, note="wrong tone")
    assert scene.states(planned.plan_id) == [TaskState.DENIED]
    assert scene.world.committed(scene.tenant_id) == set()
    assert scene.world.reviews.card(scene.tenant_id, card.card_id).status is CardStatus.DENIED
    plan = scene.shown(planned.plan_id)
    assert (plan.state, plan.counts.denied, plan.counts.in_review) == (PlanState.COMPLETED, 1, 0)


def test_a_person_s_decision_is_audited_under_their_name(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.decide(card, approve=True, by="ann", note="Ann Smith is right")
    entries = scene.entries(planned.plan_id)[-3:]
    assert [(entry.kind, entry.actor) for entry in entries] == [
        ("review.decided", "ann"),
        ("task.decided", "ann"),
        ("plan.completed", "judge"),
    ]
    facts = facts_of(entries[0])
    assert facts["card_id"] == card.card_id.hex
    # A note may hold anything: its hash is on record, its text on the card.
    assert facts["note_sha256"] == sha256("Ann Smith is right").hex()
    assert "Ann Smith" not in entries[0].body
    assert {entry.task_id for entry in entries[:2]} == set(planned.ids)


def test_a_plan_waits_until_its_last_card_is_decided(scene: Scene) -> None:
    planned, [first, second] = scene.in_review(2)
    scene.decide(first, approve=True)
    assert scene.state(planned.plan_id) is PlanState.IN_REVIEW
    scene.decide(second, approve=False, note="no")
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_a_card_is_decided_once_and_says_by_whom(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.decide(card, approve=True, by="ann")
    entries = scene.entries()
    with pytest.raises(CardAlreadyDecided, match="ann"):
        scene.decide(card, approve=False, by="bob", note="no")
    assert scene.states(planned.plan_id) == [TaskState.APPROVED]
    assert scene.entries() == entries


def test_a_card_of_a_plan_that_stopped_is_decided_already(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.stop(planned.plan_id)
    scene.stop_wave(planned.wave)
    with pytest.raises(CardAlreadyDecided):
        scene.decide(card, approve=True)
    assert scene.states(planned.plan_id) == [TaskState.CANCELLED]


def test_a_card_that_changed_since_it_was_seen_is_a_conflict(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    for version in (card.version - 1, card.version + 1):
        with pytest.raises(Conflict):
            scene.decide(card.model_copy(update={"version": version}), approve=True)
    assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]


@pytest.mark.parametrize("whose", ["nobody's", "another tenant's"])
def test_a_card_that_is_not_the_tenant_s_is_not_found(scene: Scene, stranger: Scene, whose: str) -> None:
    _, [card] = scene.in_review()
    if whose == "nobody's":
        card = card.model_copy(update={"card_id": scene.world.clock.new_id()})
    decision = CardDecision(card_id=card.card_id, version=1, seen_sha256=b"", approve=True, decided_by="eve", note=None)
    with pytest.raises(CardNotFound):
        stranger.world.cards.decide(stranger.tenant_id, decision)


def test_a_person_s_approval_writes_shared_state(scene: Scene) -> None:
    _, [card] = scene.in_review(state_key="k")
    scene.decide(card, approve=True)
    assert scene.world.shared_state(scene.tenant_id, "k") == ("fine", 1)


def test_a_person_cannot_approve_over_changed_shared_state_but_may_deny(scene: Scene) -> None:
    planned, [first, second] = scene.in_review(2, state_key="k")
    scene.decide(first, approve=True)
    entries = scene.entries()
    with pytest.raises(Conflict):
        scene.decide(second, approve=True)
    assert scene.entries() == entries
    assert scene.states(planned.plan_id) == [TaskState.APPROVED, TaskState.IN_REVIEW]
    assert scene.world.shared_state(scene.tenant_id, "k") == ("fine", 1)
    scene.decide(second, approve=False, note="too late")
    assert scene.state(planned.plan_id) is PlanState.COMPLETED


def test_a_plan_that_waited_for_a_person_goes_on(scene: Scene) -> None:
    planned = scene.plan(1, 1, dependent=True)
    scene.judge(scene.work_off(planned), scene.hitl)
    [card] = scene.cards(planned.plan_id)
    scene.decide(card, approve=True)
    assert scene.state(planned.plan_id) is PlanState.RUNNING
    scene.judge(scene.work_off(planned, wave_no=1), approve)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
