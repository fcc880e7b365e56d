"""What became of the gate's rulings, to be counted."""

from datetime import timedelta
from uuid import UUID

from chimera.models.gate.review import CardStatus
from chimera.models.work.decision import Verdict
from chimera.models.work.wave import Wave
from chimera.ports.verdict_store import Scope
from tests.contract.scene import Planned, Scene, approve, deny, give_up, now_of, success

NOTHING = UUID(int=0)


def labelled_plan(scene: Scene, *labels: str | None) -> Planned:
    plan_id = scene.submit()
    token = scene.begin(plan_id)
    tasks = [scene.task(plan_id, ordinal=ordinal, label=label) for ordinal, label in enumerate(labels)]
    waves = [Wave(wave_no=0, task_count=len(tasks), has_dependencies=False)]
    assert scene.world.plans.save_tasks(scene.tenant_id, plan_id, token, waves, tasks)
    return Planned(plan_id, (scene.wave(plan_id),), tuple(tasks))


def test_rulings_of_the_gate_are_counted_by_skill_and_verdict(scene: Scene, stranger: Scene) -> None:
    for says in (approve, approve, deny, scene.hitl):
        scene.judge(scene.work_off(scene.plan(2)), says)
    stranger.judge(stranger.work_off(stranger.plan(1)), approve)
    [card, *_] = scene.cards()
    scene.decide(card, approve=True)  # a person's: it does not count
    counts = scene.world.verdicts.counts(Scope(tenant_id=scene.tenant_id))
    assert [(count.skill, count.verdict, count.results) for count in counts] == [
        ("echo", Verdict.APPROVE, 4),
        ("echo", Verdict.DENY, 2),
        ("echo", Verdict.HITL, 2),
    ]
    assert scene.world.verdicts.counts(Scope(tenant_id=scene.tenant_id, skill="other")) == []
    later = now_of(scene.world) + timedelta(hours=1)
    assert scene.world.verdicts.counts(Scope(tenant_id=scene.tenant_id, since=later)) == []


def test_a_task_that_was_lost_has_no_result_to_count(scene: Scene) -> None:
    planned = scene.plan(1, max_attempts=1)
    scene.send()
    scene.claim(planned.wave, planned.ids, lease_seconds=60)
    scene.pass_time(64)
    [lost] = scene.world.decisions.open_wave(planned.wave).lost
    scene.world.decisions.decide_wave(planned.wave, [give_up(lost)])
    assert scene.world.verdicts.counts(Scope(tenant_id=scene.tenant_id)) == []


def test_cards_are_listed_with_why_they_were_opened(scene: Scene, stranger: Scene) -> None:
    _, [first, second, third] = scene.in_review(3)
    stranger.in_review()
    scene.edit(first, "better")
    scene.decide(second, approve=False, note="no")
    scope = Scope(tenant_id=scene.tenant_id)
    found = scene.world.verdicts.cards(scope, NOTHING, 10)
    assert [(card.card_id, card.status) for card in found] == [
        (first.card_id, CardStatus.EDITED),
        (second.card_id, CardStatus.DENIED),
        (third.card_id, CardStatus.PENDING),
    ]
    assert {(card.skill, card.confidence, card.reasons) for card in found} == {("echo", 0.5, first.reasons)}
    assert scene.world.verdicts.cards(scope, first.card_id, 1) == found[1:2]
    assert scene.world.verdicts.cards(scope.model_copy(update={"skill": "other"}), NOTHING, 10) == []
    later = now_of(scene.world) + timedelta(hours=1)
    assert scene.world.verdicts.cards(scope.model_copy(update={"since": later}), NOTHING, 10) == []


def test_a_card_that_an_erasure_closed_is_nobody_s_verdict(scene: Scene) -> None:
    _, [approved, denied, edited, half, waits] = scene.in_review(5, approvals_needed=2)
    for who in ("ann", "bob"):
        scene.decide(scene.card(approved), approve=True, by=who)
    scene.decide(denied, approve=False, note="no")
    scene.edit(edited, "better", approve=False)
    scene.decide(half, approve=True)
    for card in (approved, denied, edited, half):
        scene.erase(card.task_id)
    found = scene.world.verdicts.cards(Scope(tenant_id=scene.tenant_id), NOTHING, 10)
    assert [(card.card_id, card.status) for card in found] == [
        (approved.card_id, CardStatus.APPROVED),
        (denied.card_id, CardStatus.DENIED),
        (waits.card_id, CardStatus.PENDING),
    ]


def test_results_with_a_label_come_task_by_task(scene: Scene) -> None:
    planned = labelled_plan(scene, '{"a":1}', None, '{"a":2}')
    scene.judge(scene.work_off(planned, success({"a": 1})), approve)
    scope = Scope(tenant_id=scene.tenant_id)
    found = scene.world.verdicts.labelled(scope, (NOTHING, 0), 10)
    assert [(result.task_id, result.attempt, result.label) for result in found] == [
        (planned.ids[0], 1, {"a": 1}),
        (planned.ids[2], 1, {"a": 2}),
    ]
    assert {result.skill for result in found} == {"echo"}
    assert found[0].outcome == success({"a": 1})
    assert scene.world.verdicts.labelled(scope, (found[0].task_id, 1), 10) == found[1:]
    assert scene.world.verdicts.labelled(scope, (NOTHING, 0), 1) == found[:1]
    assert scene.world.verdicts.labelled(scope.model_copy(update={"skill": "other"}), (NOTHING, 0), 10) == []
    later = now_of(scene.world) + timedelta(hours=1)
    assert scene.world.verdicts.labelled(scope.model_copy(update={"since": later}), (NOTHING, 0), 10) == []
