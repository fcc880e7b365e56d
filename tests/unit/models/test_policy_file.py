"""Policies as people write them: every fault is named by file and line."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.gate.policy import AtLimit, Policy, parse_policy
from chimera.models.gate.policy_file import InvalidPolicy, read_policy, write_policy
from tests.unit import strategies  # noqa: F401  its profile

WHOLE = """\
# Support answers.
name: support
defaults:
  confidence: {approve: 0.8, hitl: 0.4, retry: 0.2}
  sample: 0.05
skills:
  tickets.reply:
    quorum: 2
    max_usage: {cost_usd: "0.05"}
    output_schema:
      type: object
      properties: {reply: {type: string, maxLength: 2000}}
    tools: [search]
rules:
  - name: refunds
    keywords: [refund, money back]
    within: [output]
    then: retry
  - {name: no.dates, pattern: '20\\d\\d-\\d\\d'}
llm_judge: {model: careful, instructions: Refuse promises.}
budget:
  day: {cost_usd: 50, tokens: 1000000}
  at_limit: hitl
cases:
  - {name: a refund goes back, output: we refund, expect: retry, rules: [refunds]}
"""


def test_a_whole_policy_is_read() -> None:
    policy = read_policy(WHOLE, "support.yaml")
    assert policy.of_skill("tickets.reply").quorum == 2
    assert policy.of_skill("tickets.reply").sample == 0.05
    asked = policy.of_skill("tickets.reply").max_usage
    assert asked is not None
    assert asked.cost_usd == Decimal("0.05")
    assert policy.budget is not None
    assert policy.budget.at_limit is AtLimit.HITL
    assert [rule.name for rule in policy.rules] == ["refunds", "no.dates"]


def test_what_is_written_reads_as_the_same_policy() -> None:
    policy = read_policy(WHOLE, "support.yaml")
    assert read_policy(write_policy(policy), "again") == policy
    assert parse_policy(policy.body) == policy
    assert parse_policy(policy.body).sha256 == policy.sha256


def test_nothing_said_is_the_default_policy() -> None:
    assert read_policy("", "empty.yaml") == Policy() == read_policy(write_policy(Policy()), "again")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: a\nmin_confidence: 0.7", 2, "min_confidence: no such key; known here: budget, cases, defaults"),
        ("defaults:\n  confidence:\n    aprove: 0.7", 3, "known here: approve, hitl, retry"),
        ("rules:\n- name: a\n  patern: x", 3, "rules.0.patern: no such key; known here: detector, keywords"),
        ("rules:\n- name: a\n  topic: sports", 3, "rules.0.topic: Input should be 'politics'"),
        ("rules:\n- {name: a, keywords: [x]}\n- {name: a, keywords: [y]}", 1, "the name a is used twice"),
        ("defaults: {confidence: {approve: 0.2, hitl: 0.5}}", 1, "approve must not be below hitl"),
        ("defaults:\n  sample: 1.5", 2, "defaults.sample: Input should be less than or equal to 1"),
        ("defaults:\n  sample: '0.5'", 2, "defaults.sample: Input should be a valid number"),
        ("defaults:\n  quorum: true", 2, "defaults.quorum: Input should be a valid integer"),
        ("budget:\n  day:\n    cost_usd: -1", 3, "greater than or equal to 0"),
        ("skills:\n  s:\n    output_schema: {type: strin}", 3, "no JSON Schema that can be used"),
        ("skills:\n  s:\n    output_schema: {$ref: 'http://127.0.0.1/x'}", 3, "no JSON Schema that can be used"),
        ("cases:\n- {name: c, expect: maybe}", 2, "cases.0.expect: Input should be 'approve'"),
        ("max_replans: 6", 1, "max_replans: Input should be less than or equal to 5"),
        ("name: a\nname: b", 2, "the key 'name' is here twice"),
        ("a: [1\nb: 2", 2, "expected"),
        ("name: !!python/object:os.system x", 1, "could not determine a constructor"),
        ("name: &a x\ndescription: *a", 1, "aliases (*name) are not taken"),
        ("- a", 1, "Input should be"),
        ("just text", 1, "Input should be"),
        ("name: [", 1, "expected"),
    ],
)
def test_a_fault_is_named_by_file_and_line(text: str, line: int, says: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        read_policy(text, "acme.yaml")
    assert str(caught.value).startswith(f"acme.yaml:{line}: ")
    assert says in str(caught.value)


def test_every_fault_has_a_line_of_its_own() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        read_policy("nam: a\ndefaults:\n  sample: 2\n  quorum: 0", "p.yaml")
    assert [fault.split(" ")[0] for fault in str(caught.value).splitlines()] == ["p.yaml:3:", "p.yaml:4:", "p.yaml:1:"]


@pytest.mark.parametrize(
    "text", ["a: .nan", "? [1, 2]\n: 3", "[" * 5000, "a: " + "x" * 1_100_000, "\x00", "a: !!binary aGk=", "a: \ud800"]
)
def test_what_no_policy_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicy):
        read_policy(text, "p.yaml")


def test_what_looks_like_a_date_stays_a_text() -> None:
    assert read_policy("description: 2026-11-01", "p.yaml").description == "2026-11-01"


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_an_error_that_names_the_file(text: str) -> None:
    try:
        read_policy(text, "p.yaml")
    except InvalidPolicy as exc:
        message = str(exc)
    else:
        message = "p.yaml:"
    assert message.startswith("p.yaml:")
