"""Whoever writes a tenant's policy lets everything pass, before or after the operator set a floor; and traceless."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chimera.models.gate.policy import Policy
from chimera.models.gate.policy_file import read_policy
from chimera.models.gate.rules import Part, Then
from tests.attacks.reviewer.conftest import Desk, _plain_environment, catalogue, desk_of, run, services
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
