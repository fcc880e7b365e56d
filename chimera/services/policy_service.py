"""Trying a policy before it is in force: on its own cases, and on what was judged before."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from pydantic import ValidationError

from chimera.errors import UnknownSkill
from chimera.models.decision import Ruling, Verdict
from chimera.models.gate import Staged, gate
from chimera.models.policy import Case, Expected, Policy, PolicyInForce
from chimera.models.record import Record, canonical_json, sha256
from chimera.models.result import SuccessOutcome, Usage
from chimera.models.skill import Catalogue, describe
from chimera.ports.policy_store import Judged, PolicyStore, PolicyVersion

_PAGE = 1000
_NO_TASK = UUID(int=0)


class CaseOutcome(Record):
    """How one of a policy's cases was ruled."""

    case: Case
    ruled: Expected
    rules: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it was ruled as expected, for the rules that were named."""
        return self.ruled is self.case.expect and set(self.case.rules) <= set(self.rules)


class Change(Record):
    """A result that another policy would rule on otherwise."""

    plan_id: UUID
    task_id: UUID
    skill: str
    before: Expected
    after: Expected
    rules: tuple[str, ...]


class Simulation(Record):
    """What a policy would have made of what was judged before."""

    results: int
    before: dict[Expected, int]
    after: dict[Expected, int]
    changes: tuple[Change, ...]  # the first ones, as many as asked for
    changed: int
    # Those by rule that the changed policy names for its verdict.
    by_rule: dict[str, int]
    # Results that were erased: they cannot be judged again.
    erased: int


class PolicyService:
    """Reads policies, and says what one would do."""

    def __init__(self, store: PolicyStore, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    def in_force(self, tenant_id: str | None) -> PolicyInForce:
        """What applies to a tenant, or with None to all that have none of their own."""
        return self._store.default() if tenant_id is None else self._store.in_force(tenant_id)

    def versions(self, tenant_id: str | None) -> list[PolicyVersion]:
        """What was applied, newest first."""
        return self._store.versions(tenant_id)

    def unknown_skills(self, policy: Policy) -> list[str]:
        """Skills that the policy names and this process does not know."""
        named = {*policy.skills, *(skill for rule in policy.rules for skill in rule.skills or ())}
        named |= set(policy.llm_judge.skills or ()) if policy.llm_judge else set()
        named |= {asked.degrade_to for asked in policy.skills.values() if asked.degrade_to}
        return sorted(named - set(self._catalogue.skills))

    def test(self, policy: Policy) -> list[CaseOutcome]:
        """Rules on the policy's own cases; sampling and a model's opinion are left out."""
        return [_case_outcome(policy, case) for case in policy.cases]

    def simulate(
        self, tenant_id: str, policy: Policy, *, since: datetime | None, plan_id: UUID | None, show: int
    ) -> Simulation:
        """Judges again, by this policy, what the tenant's policies have judged; sampling and models are left out."""
        before: Counter[Expected] = Counter()
        after: Counter[Expected] = Counter()
        by_rule: Counter[str] = Counter()
        changes: list[Change] = []
        erased = changed = 0
        for judged in self._judged(tenant_id, since, plan_id):
            if judged.staged is None:
                erased += 1
                continue
            ruling = gate(judged.staged, policy, self._output_fault(judged.staged))
            was, would = expected(judged.verdict, final=judged.final), expected_of(ruling)
            before[was] += 1
            after[would] += 1
            if was is would:
                continue
            changed += 1
            rules = tuple(reason.rule for reason in ruling.reasons)
            by_rule.update(rules or ("none",))
            if len(changes) < show:
                task_id, skill = judged.staged.task_id, judged.staged.skill
                changes.append(
                    Change(plan_id=judged.plan_id, task_id=task_id, skill=skill, before=was, after=would, rules=rules)
                )
        return Simulation(
            results=sum(before.values()),
            before=dict(before),
            after=dict(after),
            changes=tuple(changes),
            changed=changed,
            by_rule=dict(by_rule.most_common()),
            erased=erased,
        )

    def _judged(self, tenant_id: str, since: datetime | None, plan_id: UUID | None) -> Iterator[Judged]:
        after = (_NO_TASK, 0)
        while page := self._store.judged(tenant_id, since, plan_id, after, _PAGE):
            yield from page
            after = (page[-1].task_id, page[-1].attempt)

    def _output_fault(self, staged: Staged) -> str | None:
        if not isinstance(staged.outcome, SuccessOutcome):
            return None
        try:
            self._catalogue.skill(staged.skill).check_output(staged.outcome.output)
        except UnknownSkill:
            return None  # simulated where the skill's code is not: its own schema is left out
        except ValidationError as exc:
            return describe(exc)
        return None


def expected_of(ruling: Ruling) -> Expected:
    """A ruling in the words of a policy's cases."""
    return expected(ruling.verdict, final=ruling.final)


def expected(verdict: Verdict, *, final: bool) -> Expected:
    """A verdict in the words of a policy's cases: a denial that is not final is another try."""
    if verdict is Verdict.DENY and not final:
        return Expected.RETRY
    return Expected(verdict.value)


def _case_outcome(policy: Policy, case: Case) -> CaseOutcome:
    ruling = gate(_staged(case), policy, None)
    return CaseOutcome(case=case, ruled=expected_of(ruling), rules=tuple(reason.rule for reason in ruling.reasons))


def _staged(case: Case) -> Staged:
    outcome = SuccessOutcome(
        output=case.output,
        confidence=case.confidence,
        reasoning=case.reasoning,
        evidence=case.evidence,
        tools=case.tools,
        effects=case.effects,
    )
    text = canonical_json(outcome.model_dump(mode="json"))
    return Staged(
        task_id=_NO_TASK,
        skill=case.skill,
        input=case.input,
        attempt=1,
        max_attempts=3,
        outcome=outcome,
        size=len(text),
        sha256=sha256(text),
        usage=Usage(tokens=case.tokens, cost_usd=case.cost_usd),
    )
