"""Policies, version by version."""

import pytest

from chimera.errors import BelowFloor, UnknownTenant
from chimera.models.gate.policy import Bands, Floor, Policy, SkillPolicy
from chimera.models.record import canonical_json
from chimera.models.work.decision import Verdict
from chimera.models.work.plan import PlanState
from chimera.models.work.result import FailureOutcome, SuccessOutcome
from chimera.ports.decision_store import PolicyChanged
from chimera.ports.replan_store import Replanned
from tests.contract.scene import Scene, approve, facts_of, failure, replan, retry, success

STRICT = Policy(name="strict", defaults=SkillPolicy(confidence=Bands(approve=0.9)))
MILD = Policy(name="mild", defaults=SkillPolicy(confidence=Bands(approve=0.5)))


def applied(scene: Scene) -> list[dict[str, object]]:
    entries = scene.entries()
    return [facts_of(entry) for entry in entries if entry.kind == "policy.applied"]


def test_a_tenant_without_a_policy_has_the_default(scene: Scene) -> None:
    assert scene.world.policies.in_force(scene.tenant_id) == scene.world.policies.default()
    assert scene.world.policies.versions(scene.tenant_id) == []


def test_an_applied_policy_is_in_force_and_on_record(scene: Scene) -> None:
    before = scene.world.policies.in_force(scene.tenant_id)
    now = scene.world.policy_changes.apply(scene.tenant_id, STRICT, "ann")
    assert now == scene.world.policies.in_force(scene.tenant_id)
    assert (now.policy, now.number, now.own) == (STRICT, 1, True)
    assert now.version == f"strict@v1+{STRICT.sha256.hex()[:8]}"
    assert applied(scene) == [
        {
            "before": before.version,
            "version": now.version,
            "own": True,
            "sha256": STRICT.sha256.hex(),
            "weakened": [],
        }
    ]


def test_the_policy_in_force_is_no_new_version(scene: Scene) -> None:
    for policy in (STRICT, STRICT, MILD, STRICT):
        now = scene.world.policy_changes.apply(scene.tenant_id, policy, "ann")
    assert now.number == 3
    versions = scene.world.policies.versions(scene.tenant_id)
    assert [(version.number, version.name, version.applied_by) for version in versions] == [
        (3, "strict", "ann"),
        (2, "mild", "ann"),
        (1, "strict", "ann"),
    ]
    assert versions[0].version == now.version


def test_one_tenant_s_policy_is_not_another_s(scene: Scene, stranger: Scene) -> None:
    scene.world.policy_changes.apply(scene.tenant_id, STRICT, "ann")
    assert stranger.world.policies.in_force(stranger.tenant_id) == stranger.world.policies.default()
    assert stranger.world.policies.versions(stranger.tenant_id) == []


def test_there_is_no_policy_for_nobody(scene: Scene) -> None:
    with pytest.raises(UnknownTenant):
        scene.world.policy_changes.apply("nobody-here", STRICT, "ann")


def test_a_default_applies_to_those_without_their_own_and_is_on_their_record(scene: Scene, stranger: Scene) -> None:
    if scene.world is not stranger.world:
        stranger.world.add_tenant(scene.tenant_id)
    scene.world.policy_changes.apply(scene.tenant_id, STRICT, "ann")
    now = scene.world.policy_changes.apply(None, MILD.model_copy(update={"name": f"all-{stranger.tenant_id}"}), "bob")
    try:
        assert scene.world.policies.in_force(scene.tenant_id).policy == STRICT
        assert scene.world.policies.default() == now == scene.world.policies.in_force(stranger.tenant_id)
        assert not now.own
        assert [facts["version"] for facts in applied(stranger)] == [now.version]
        assert len(applied(scene)) == 1
        assert scene.world.policies.versions(None)[0].version == now.version
    finally:
        scene.world.forget_default_policy()


def test_a_floor_raises_what_is_in_force_and_is_on_the_record_of_all(scene: Scene, stranger: Scene) -> None:
    if scene.world is not stranger.world:
        stranger.world.add_tenant(scene.tenant_id)
    world, name = scene.world, f"floor-{stranger.tenant_id}"
    own = world.policy_changes.apply(scene.tenant_id, MILD, "ann")
    asked = SkillPolicy(confidence=Bands(approve=0.99))
    default = world.policy_changes.apply(None, Policy(name=name, defaults=asked, floor=Floor(approve=0.99)), "bob")
    try:
        now = world.policies.in_force(scene.tenant_id)
        assert now.version == f"{own.version}^{default.version}"
        assert (now.applied, now.floor, now.own) == (MILD, default.version, True)
        assert now.policy.of_skill("any").confidence == Bands(approve=0.99)
        assert [facts["version"] for facts in applied(scene)] == [own.version, now.version]
        assert [facts["version"] for facts in applied(stranger)] == [default.version]
        assert world.policy_changes.apply(scene.tenant_id, MILD, "ann") == now, "it is in force, and no new version"
        with pytest.raises(BelowFloor, match=r"defaults\.confidence\.approve"):
            world.policy_changes.apply(scene.tenant_id, MILD.model_copy(update={"name": "milder"}), "ann")
        assert world.policies.in_force(scene.tenant_id) == now
        world.policy_changes.apply(None, Policy(name=name), "bob")
        assert world.policies.in_force(scene.tenant_id) == own
        assert applied(scene)[-1]["weakened"], "without the floor less is asked again"
        assert applied(stranger)[-1]["weakened"] == [
            "defaults.confidence.approve: 0.7, was 0.99",
            "floor.approve: none, was 0.99",
        ]
    finally:
        world.forget_default_policy()


def test_those_whom_people_see_are_asked_about_by_the_default_too(scene: Scene) -> None:
    people = Policy(name=f"people-{scene.tenant_id}", floor=Floor(people=(scene.tenant_id,)))
    default = scene.world.policy_changes.apply(None, people, "bob")
    try:
        now = scene.world.policies.in_force(scene.tenant_id)
        assert (now.version, now.policy.of_skill("any").sample) == (default.version, 1.0)
        assert scene.world.policies.default().policy.of_skill("any").sample is None
    finally:
        scene.world.forget_default_policy()


def test_what_was_gated_before_a_floor_is_not_written(scene: Scene) -> None:
    scene.world.policy_changes.apply(scene.tenant_id, MILD, "ann")
    planned = scene.plan(1)
    wave = scene.work_off(planned)
    waiting = scene.world.decisions.open_wave(wave)
    decision = approve(waiting.staged[0])
    named = decision.decision.model_copy(update={"policy_version": waiting.policy.version})
    gated = decision.model_copy(update={"decision": named})
    asked = SkillPolicy(confidence=Bands(approve=0.99))
    floor = Policy(name=f"later-{scene.tenant_id}", defaults=asked, floor=Floor(approve=0.99))
    scene.world.policy_changes.apply(None, floor, "bob")
    try:
        with pytest.raises(PolicyChanged):
            scene.world.decisions.decide_wave(wave, [gated])
        assert scene.world.committed(scene.tenant_id) == set()
        now = scene.world.decisions.open_wave(wave).policy
        assert now.policy.of_skill("any").confidence == Bands(approve=0.99)
    finally:
        scene.world.forget_default_policy()


def test_what_was_gated_by_another_policy_is_not_written(scene: Scene) -> None:
    planned = scene.plan(1)
    wave = scene.work_off(planned)
    waiting = scene.world.decisions.open_wave(wave)
    scene.world.policy_changes.apply(scene.tenant_id, STRICT, "ann")
    with pytest.raises(PolicyChanged):
        scene.world.decisions.decide_wave(wave, [approve(staged) for staged in waiting.staged])
    assert scene.world.committed(scene.tenant_id) == set()
    assert scene.state(planned.plan_id) is PlanState.RUNNING
    assert scene.world.decisions.open_wave(wave).policy.policy == STRICT


def test_a_wave_is_reserved_for_one_judge_at_a_time(scene: Scene) -> None:
    planned = scene.plan(1)
    wave = scene.work_off(planned)
    one, other = scene.world.clock.new_id(), scene.world.clock.new_id()
    reserve = scene.world.decisions.reserve_wave
    assert [reserve(wave, one, 60), reserve(wave, other, 60), reserve(wave, one, 0)] == [True, False, True]
    scene.pass_time(1)
    assert reserve(wave, other, 60)


# What was judged before.


def test_what_a_policy_judged_can_be_judged_again(scene: Scene) -> None:
    planned = scene.plan(3)
    scene.send()
    outcomes: tuple[SuccessOutcome | FailureOutcome, ...] = (success("a"), failure(), success("c", confidence=None))
    for task_id, outcome, says in zip(planned.ids, outcomes, (approve, retry, scene.hitl), strict=True):
        scene.stage(scene.claim(planned.wave, [task_id]), outcome)
        scene.judge(planned.wave, says)
    scene.decide(scene.cards()[0], approve=True)
    found = scene.world.policies.judged(scene.tenant_id, None, None, (planned.plan_id, 0), 10)
    # A person's decision is not among them: what the policy said of it is.
    assert [(judged.task_id, judged.verdict, judged.final) for judged in found] == [
        (planned.ids[0], Verdict.APPROVE, True),
        (planned.ids[1], Verdict.DENY, False),
        (planned.ids[2], Verdict.HITL, False),
    ]
    staged = found[0].staged
    assert staged is not None
    assert staged.outcome == success("a")
    assert staged.size == len(canonical_json(success("a").model_dump(mode="json")))
    assert {judged.plan_id for judged in found} == {planned.plan_id}


def test_a_result_is_judged_again_as_it_was_made_whatever_its_planner_changed_since(scene: Scene) -> None:
    planned = scene.plan(1, has_replan=True, max_attempts=9)
    skills = ["first", "second"]
    for says in (retry, replan, retry, replan, approve):
        scene.judge(scene.work_off(planned), says)
        job, token = scene.begin_replan(planned.wave)
        if job is not None:
            skill = skills.pop(0)
            changed = Replanned(skill=skill, input=f'{{"by":"{skill}"}}', timeout_seconds=1.0)
            assert scene.world.replans.save(planned.wave, planned.ids[0], token, changed)
    found = scene.world.policies.judged(scene.tenant_id, None, None, (planned.plan_id, 0), 10)
    made = [(judged.attempt, judged.staged.skill, judged.staged.input) for judged in found if judged.staged]
    before = {"text": "hello"}
    assert made == [
        (1, "echo", before),
        (2, "echo", before),
        (3, "first", {"by": "first"}),
        (4, "first", {"by": "first"}),
        (5, "second", {"by": "second"}),
    ]


def test_what_was_judged_comes_page_by_page_and_by_plan(scene: Scene) -> None:
    plans = [scene.plan(2) for _ in range(2)]
    for planned in plans:
        scene.judge(scene.work_off(planned), approve)
    start = (scene.world.clock.new_id(), 0)
    judged = scene.world.policies.judged
    assert judged(scene.tenant_id, None, None, start, 10) == []
    first = judged(scene.tenant_id, None, None, (plans[0].plan_id, 0), 3)
    rest = judged(scene.tenant_id, None, None, (first[-1].task_id, first[-1].attempt), 3)
    assert [one.task_id for one in first + rest] == [*plans[0].ids, *plans[1].ids]
    only = judged(scene.tenant_id, None, plans[1].plan_id, (plans[0].plan_id, 0), 10)
    assert [one.task_id for one in only] == plans[1].ids
