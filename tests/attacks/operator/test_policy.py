"""Whoever writes a tenant's policy lets everything pass, before or after the operator set a floor; and traceless.

And a tenant whose code is not to be trusted has it run where everybody's logins are.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chimera.models.gate.policy import Policy
from chimera.models.gate.policy_file import read_policy
from chimera.models.gate.rules import Part, Then
from tests.attacks.reviewer.conftest import Desk, _plain_environment, catalogue, desk_of, run, services
from tests.contract.scene import PLANNERS, Planned, Scene
from tests.contract.worlds import PostgresWorld

__all__ = ["_plain_environment", "catalogue", "desk_of", "run", "services"]

OPERATORS = """\
name: everybody
defaults: {confidence: {approve: 0.9}, quorum: 2, sample: 0.1}
rules:
  - {name: keyword.refund, keywords: [refund, money back], then: deny}
  - {name: pii.email, detector: email, within: [input, output]}
"""
FLOOR = "floor: {approve: 0.9, quorum: 2, sample: 0.05, rules: [keyword.refund, pii.email]}\n"
ASKED = "defaults: {confidence: {approve: 0.95}, quorum: 2, sample: 0.1}\n"
REFUND = "  - {name: keyword.refund, keywords: [refund, money back], then: deny}\n"
EMAIL = "  - {name: pii.email, detector: email, within: [input, output]}\n"
RULES = f"rules:\n{REFUND}{EMAIL}"
WEAK = {
    "all": "defaults: {confidence: {approve: 0.0}}\nrules: []\n",
    "threshold": f"defaults: {{confidence: {{approve: 0.0}}, quorum: 2, sample: 0.1}}\n{RULES}",
    "a-bit": f"defaults: {{confidence: {{approve: 0.89}}, quorum: 2, sample: 0.1}}\n{RULES}",
    "of-a-skill": f"{ASKED}skills: {{echo: {{confidence: {{approve: 0.1}}}}}}\n{RULES}",
    "one-person": f"defaults: {{confidence: {{approve: 0.95}}, sample: 0.1}}\n{RULES}",
    "one-person-of-a-skill": f"{ASKED}skills: {{echo: {{quorum: 1}}}}\n{RULES}",
    "no-sample": f"defaults: {{confidence: {{approve: 0.95}}, quorum: 2}}\n{RULES}",
    "no-rules": f"{ASKED}rules: []\n",
    "default-rules": ASKED,
    "rule-dropped": f"{ASKED}rules:\n{EMAIL}",
    "leads-to-less": f"{ASKED}{RULES.replace('then: deny', 'then: hitl')}",
    "fewer-words": f"{ASKED}rules:\n  - {{name: keyword.refund, keywords: [refund], then: deny}}\n{EMAIL}",
    "something-else": f"{ASKED}rules:\n  - {{name: keyword.refund, pattern: 'x{{9}}', then: deny}}\n{EMAIL}",
    "one-skill": f"{ASKED}{RULES.replace('then: deny', 'then: deny, skills: [other]')}",
    "fewer-places": f"{ASKED}rules:\n{REFUND}  - {{name: pii.email, detector: email, within: [evidence]}}\n",
    "other-detector": f"{ASKED}rules:\n{REFUND}  - {{name: pii.email, detector: iban, within: [input, output]}}\n",
}
STRONG = f"{ASKED}{RULES}budget: {{day: {{cost_usd: 5}}}}\nllm_judge: {{model: careful, instructions: look}}\n"
WEAKENINGS = {
    "threshold": ("confidence.approve", STRONG.replace("0.95", "0.5")),
    "people": ("quorum", STRONG.replace("quorum: 2", "quorum: 1")),
    "sample": ("sample", STRONG.replace("sample: 0.1", "sample: 0.01")),
    "rule": ("keyword.refund", STRONG.replace(REFUND, "")),
    "verdict": ("keyword.refund", STRONG.replace("then: deny", "then: hitl")),
    "budget": ("budget.day.cost_usd", STRONG.replace("cost_usd: 5", "cost_usd: 5000")),
    "no-budget": ("budget.day.cost_usd", STRONG.replace("budget: {day: {cost_usd: 5}}\n", "")),
    "model": ("llm_judge", STRONG.partition("llm_judge")[0]),
}
# What is put before its code in a worker with everybody's logins: whether that takes it.
RUNS: dict[str, Callable[[Scene, Planned], object]] = {
    "skills": lambda scene, planned: scene.claim(planned.wave, planned.ids).tasks,
    "one-skill": lambda scene, planned: scene.claim(planned.wave, planned.ids[:1]).tasks,
    "planner": lambda scene, _: scene.world.plans.begin_planning(
        scene.tenant_id, scene.submit(), scene.world.clock.new_id(), 60.0, PLANNERS
    ),
    "replan-hook": lambda scene, planned: scene.begin_replan(planned.wave)[0],
}


def is_weak(policy: Policy) -> bool:
    """Whether it asks less than the operator does."""
    asked, rules = policy.of_skill("echo"), {rule.name: rule for rule in policy.rules}
    refund, email = rules.get("keyword.refund"), rules.get("pii.email")
    return (
        asked.confidence is None
        or asked.confidence.approve < 0.9
        or (asked.quorum or 1) < 2
        or (asked.sample or 0) < 0.05
        or refund is None
        or refund.then is not Then.DENY
        or refund.skills is not None
        or not {"refund", "money back"} <= {*(refund.keywords or ())}
        or email is None
        or email.detector != "email"
        or not {Part.INPUT, Part.OUTPUT} <= {*email.within}
    )


def with_floor(text: str) -> str:
    """With the floor, where policies know one."""
    return text + FLOOR if "floor" in Policy.model_fields else text


@pytest.fixture
def apply(
    desk_of: Callable[[], Desk], tmp_path: Path, postgres_world: PostgresWorld
) -> Iterator[tuple[Desk, Callable[..., int]]]:
    """A tenant, and what puts a policy of these lines in force, for it or by default; returns the exit code."""
    desk, file = desk_of(), tmp_path / "policy.yaml"

    def put(text: str, *, default: bool = False) -> int:
        file.write_text(text)
        whom = ("--default",) if default else ("-t", desk.tenant)
        return desk.run("policy", "apply", str(file), *whom, "--as", "mallory").code

    yield desk, put
    postgres_world.forget_default_policy()


@pytest.mark.parametrize("text", [*WEAK.values()], ids=[*WEAK])
def test_a_policy_below_the_floor_is_not_put_in_force(apply: tuple[Desk, Callable[..., int]], text: str) -> None:
    desk, put = apply
    assert is_weak(read_policy(text, "weak"))
    assert put(with_floor(OPERATORS), default=True) == 0
    put(text)
    assert not is_weak(desk.services.governing.policies.in_force(desk.tenant).policy)


@pytest.mark.parametrize("text", [*WEAK.values()], ids=[*WEAK])
def test_a_policy_from_before_the_floor_is_raised_to_it(apply: tuple[Desk, Callable[..., int]], text: str) -> None:
    desk, put = apply
    assert put(text) == 0
    assert put(with_floor(OPERATORS), default=True) == 0
    assert not is_weak(desk.services.governing.policies.in_force(desk.tenant).policy)


@pytest.mark.parametrize(("what", "text"), [*WEAKENINGS.values()], ids=[*WEAKENINGS])
def test_what_a_policy_gives_up_is_on_record(apply: tuple[Desk, Callable[..., int]], what: str, text: str) -> None:
    desk, put = apply
    assert put(STRONG) == 0
    assert put(text) == 0
    [*_, last] = [entry["facts"] for entry in desk.entries() if entry["kind"] == "policy.applied"]
    assert [line for line in last.get("weakened", []) if what in line]


def isolating(name: str, whom: str) -> str:
    """A default that isolates these tenants, where policies can say so."""
    can_say = '"isolated"' in json.dumps(Policy.model_json_schema())
    return f"name: {name}\n" + (f"floor: {{isolated: {whom}}}\n" if can_say else "")


@pytest.mark.parametrize("whom", ["named", "everybody"])
@pytest.mark.parametrize("what", [*RUNS])
def test_what_an_isolated_tenant_brings_runs_in_no_worker_with_all_logins(
    apply: tuple[Desk, Callable[..., int]], postgres_world: PostgresWorld, what: str, whom: str
) -> None:
    desk, put = apply
    scene = Scene(postgres_world, desk.tenant)
    planned = scene.asked(2) if what == "replan-hook" else scene.plan(2)
    scene.send()
    assert put(isolating("apart", f"[{desk.tenant}]" if whom == "named" else "'*'"), default=True) == 0
    assert not RUNS[what](scene, planned)
    assert {result.attempt for result in scene.results(planned.plan_id)} == {1 if what == "replan-hook" else 0}


@pytest.mark.parametrize("then", ["nobody", "others"])
def test_that_a_tenant_is_isolated_no_more_is_on_its_record(apply: tuple[Desk, Callable[..., int]], then: str) -> None:
    desk, put = apply
    assert put(f"name: own-{then}\n") == 0
    assert put(isolating(f"apart-{then}", f"[{desk.tenant}, other]"), default=True) == 0
    assert put(isolating(f"lax-{then}", "[]" if then == "nobody" else "[other]"), default=True) == 0
    [*_, last] = [entry["facts"] for entry in desk.entries() if entry["kind"] == "policy.applied"]
    assert [line for line in last.get("weakened", []) if "isolated" in line]
