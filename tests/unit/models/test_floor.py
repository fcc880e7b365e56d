"""The floor under policies, and what a policy gives up: by examples, and by what the gate makes of any result."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.errors import BelowFloor
from chimera.models.gate.floor import below, raised, raised_policy, require_above
from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import Amount, Bands, Budget, Floor, LlmJudge, Policy, PolicyInForce, SkillPolicy
from chimera.models.gate.rules import Part, Rule, Then
from chimera.models.gate.weakening import weakened
from chimera.models.work.decision import Verdict
from chimera.models.work.result import SuccessOutcome

TENANT = "acme"
STRENGTH = {Verdict.APPROVE: 0, Verdict.HITL: 1, Verdict.DENY: 3}

SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 1.0])
BANDS = st.tuples(SHARES, SHARES, st.none() | SHARES).map(
    lambda shares: Bands(
        approve=max(shares[0], shares[1], shares[2] or 0),
        hitl=max(min(shares[0], shares[1]), shares[2] or 0),
        retry=shares[2],
    )
)
NAMES = st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=2)
ALLOWED = st.none() | NAMES.map(lambda names: tuple(sorted(names)))
SKILL = st.builds(
    SkillPolicy,
    confidence=st.none() | BANDS,
    sample=st.none() | SHARES,
    quorum=st.none() | st.integers(1, 3),
    max_result_bytes=st.none() | st.integers(1, 3),
    tools=ALLOWED,
    effects=ALLOWED,
)
WORDS = st.lists(st.sampled_from(["refund", "tulip", "rose"]), min_size=1, max_size=3, unique=True).map(tuple)
PARTS = st.lists(st.sampled_from(list(Part)[:2]), min_size=1, unique=True).map(tuple)


def rules(name: str) -> st.SearchStrategy[Rule]:
    skills = st.none() | st.just(("echo",)) | st.just(("other",))
    return st.builds(Rule, name=st.just(name), keywords=WORDS, within=PARTS, skills=skills, then=st.sampled_from(Then))


RULES = st.tuples(st.none() | rules("one"), st.none() | rules("two")).map(
    lambda found: tuple(rule for rule in found if rule is not None)
)
POLICIES = st.builds(
    Policy, defaults=SKILL, skills=st.dictionaries(st.sampled_from(["echo", "other"]), SKILL, max_size=2), rules=RULES
)
RESULTS = st.builds(
    lambda confidence, text, said, tools, effects, size: Staged(
        task_id=UUID(int=1),
        skill="echo",
        input={"text": text},
        attempt=1,
        max_attempts=3,
        outcome=SuccessOutcome(output=said, confidence=confidence, tools=tuple(tools), effects=tuple(effects)),
        size=size,
        sha256=bytes(32),
    ),
    st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0]),
    st.sampled_from(["", "a refund", "tulip rose"]),
    st.sampled_from(["", "a refund", "tulip", "rose"]),
    NAMES,
    NAMES,
    st.integers(1, 3),
)
DRAWS = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 0.99])


def strength(staged: Staged, policy: Policy, draw: float) -> int:
    """0: approved; 1: a person; 2: another try; 3: denied."""
    ruling = gate(staged, policy, None, draw)
    return 2 if ruling.verdict is Verdict.DENY and ruling.to_planner else STRENGTH[ruling.verdict]


def operators(policy: Policy, **fields: object) -> Policy:
    """The policy with a floor of all of its rules and of these."""
    names = tuple(rule.name for rule in policy.rules)
    return policy.model_copy(update={"floor": Floor.model_validate({"rules": names} | fields)})


class TestWeakened:
    @given(before=POLICIES, after=POLICIES, staged=RESULTS, draw=DRAWS)
    def test_where_the_gate_is_milder_it_says_so(
        self, before: Policy, after: Policy, staged: Staged, draw: float
    ) -> None:
        if strength(staged, after, draw) < strength(staged, before, draw):
            assert weakened(before, after)

    @given(POLICIES)
    def test_the_same_gives_nothing_up(self, policy: Policy) -> None:
        assert weakened(policy, policy) == ()

    @given(policy=POLICIES, floors=POLICIES, approve=SHARES)
    def test_to_raise_gives_nothing_up(self, policy: Policy, floors: Policy, approve: float) -> None:
        given_up = weakened(policy, raised_policy(policy, operators(floors, approve=approve), TENANT))
        # A rule that is not the floor's is kept beside it under another name.
        assert all(line.startswith("rules.") for line in given_up)

    @pytest.mark.parametrize(
        ("before", "after", "line"),
        [
            (
                Policy(defaults=SkillPolicy(confidence=Bands(approve=0.95))),
                Policy(defaults=SkillPolicy(confidence=Bands(approve=0.9))),
                "defaults.confidence.approve: 0.9, was 0.95",
            ),
            (Policy(), Policy(rules=Policy().rules[1:]), "rules.keyword.password: dropped"),
            (
                Policy(budget=Budget(day=Amount(cost_usd=Decimal(1)))),
                Policy(),
                "budget.day.cost_usd: none, was 1",
            ),
            (
                Policy(skills={"pay": SkillPolicy(quorum=2)}),
                Policy(),
                "skills.pay.quorum: none, was 2",
            ),
            (
                Policy(llm_judge=LlmJudge(model="careful", instructions="look")),
                Policy(),
                "llm_judge: none, was careful",
            ),
            (Policy(floor=Floor(approve=0.9)), Policy(), "floor.approve: none, was 0.9"),
            (Policy(floor=Floor(people=("acme",))), Policy(floor=Floor()), "floor.people: without acme"),
            (
                Policy(floor=Floor(isolated=("acme", "b"))),
                Policy(floor=Floor(isolated=("b",))),
                "floor.isolated: b, was acme, b",
            ),
            (Policy(floor=Floor(isolated="*")), Policy(floor=Floor(isolated=("b",))), "floor.isolated: b, was *"),
            (Policy(floor=Floor(isolated="*")), Policy(), "floor.isolated: none, was *"),
            (
                Policy(defaults=SkillPolicy(tools=("a",))),
                Policy(defaults=SkillPolicy(tools=("a", "b"))),
                "defaults.tools: allows b as well",
            ),
            (
                Policy(defaults=SkillPolicy(output_schema={"type": "object"})),
                Policy(),
                "defaults.output_schema: none, was given",
            ),
        ],
    )
    def test_each_thing_is_named(self, before: Policy, after: Policy, line: str) -> None:
        assert weakened(before, after) == (line,)
        assert not [found for found in weakened(after, before) if found == line]


class TestFloor:
    @given(policy=POLICIES, floors=POLICIES, approve=SHARES, staged=RESULTS, draw=DRAWS)
    def test_what_is_in_force_is_never_milder_than_the_floor(
        self, policy: Policy, floors: Policy, approve: float, staged: Staged, draw: float
    ) -> None:
        with_floor = operators(floors, approve=approve)
        found = strength(staged, raised_policy(policy, with_floor, TENANT), draw)
        least = Policy(rules=floors.rules, defaults=SkillPolicy(confidence=Bands(approve=approve)))
        assert found >= strength(staged, least, 1.0)
        assert found >= strength(staged, policy, draw), "nor than the tenant's own"

    @given(policy=POLICIES, floors=POLICIES, approve=SHARES, sample=SHARES, quorum=st.integers(1, 3))
    def test_what_is_raised_is_not_below(
        self, policy: Policy, floors: Policy, approve: float, sample: float, quorum: int
    ) -> None:
        with_floor = operators(floors, approve=approve, sample=sample, quorum=quorum, people=(TENANT,))
        assert below(raised_policy(policy, with_floor, TENANT), with_floor, TENANT) == []

    @given(policy=POLICIES, floors=POLICIES, approve=SHARES)
    def test_what_is_not_below_stays_as_it_is(self, policy: Policy, floors: Policy, approve: float) -> None:
        with_floor = operators(floors, approve=approve)
        if not below(policy, with_floor, TENANT):
            assert weakened(raised_policy(policy, with_floor, TENANT), policy) == ()

    def test_those_whom_it_isolates_are_isolated_whoever_wrote_their_policy(self) -> None:
        own = PolicyInForce(policy=Policy(name="mine"), number=3, own=True)
        for named, others in (((TENANT,), False), ("*", True), ((), False)):
            floor = Floor.model_validate({"isolated": named})
            default = PolicyInForce(policy=Policy(floor=floor), number=1, own=False)
            for found in (default, own):
                assert raised(found, default, TENANT).isolated is bool(named)
                assert raised(found, default, "other").isolated is others
        assert not raised(own, PolicyInForce(policy=Policy(), number=1, own=False), TENANT).isolated

    def test_nothing_of_those_whom_people_see_is_approved_by_the_gate(self) -> None:
        default = PolicyInForce(policy=Policy(floor=Floor(people=(TENANT,))), number=1, own=False)
        staged = Staged(
            task_id=UUID(int=1),
            skill="echo",
            input={},
            attempt=1,
            max_attempts=3,
            outcome=SuccessOutcome(output="fine", confidence=1.0),
            sha256=bytes(32),
        )
        for found in (default, PolicyInForce(policy=Policy(name="mine"), number=3, own=True)):
            for draw in (0.0, 0.5, 0.999999):
                ruling = gate(staged, raised(found, default, TENANT).policy, None, draw)
                assert ruling.verdict is Verdict.HITL
                assert gate(staged, raised(found, default, "other").policy, None, draw).verdict is Verdict.APPROVE

    def test_a_version_names_both(self) -> None:
        default = PolicyInForce(policy=Policy(floor=Floor(approve=0.9)), number=2, own=False)
        own = PolicyInForce(policy=Policy(name="acme"), number=3, own=True)
        found = raised(own, default, TENANT)
        assert found.version == f"{own.version}^{default.version}"
        assert found.applied == own.policy
        assert raised(default, default, TENANT) == default

    def test_each_fault_is_named_with_its_place(self) -> None:
        with_floor = operators(Policy(rules=(Rule(name="one", keywords=("a", "b"), then=Then.DENY),)), approve=0.9)
        own = Policy(rules=(Rule(name="one", keywords=("a",)),), skills={"echo": SkillPolicy(confidence=Bands())})
        assert [(fault.path, fault.message) for fault in below(own, with_floor, TENANT)] == [
            (("defaults", "confidence", "approve"), "0.7 is below the floor, 0.9"),
            (("skills", "echo", "confidence", "approve"), "0.7 is below the floor, 0.9"),
            (("rules", 0, "then"), "hitl, and deny is asked"),
            (("rules", 0, "keywords"), "leaves out 1"),
        ]
        with pytest.raises(BelowFloor, match=r"defaults\.confidence\.approve: 0\.7 is below"):
            require_above(own, with_floor, TENANT)
