"""A policy's own tests: what is handed to the gate, and how it is to rule."""

from uuid import UUID

from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import Case, Expected, Policy
from chimera.models.record import Record, canonical_json, sha256
from chimera.models.work.decision import Ruling, Verdict
from chimera.models.work.result import SuccessOutcome, Usage

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


def case_outcomes(policy: Policy) -> list[CaseOutcome]:
    """Rules on the policy's own cases; sampling, a model's opinion and the skill's own schema are left out."""
    return [_outcome(policy, case) for case in policy.cases]


def expected_of(ruling: Ruling) -> Expected:
    """A ruling in the words of a policy's cases."""
    return expected(ruling.verdict, final=ruling.final)


def expected(verdict: Verdict, *, final: bool) -> Expected:
    """A verdict in the words of a policy's cases: a denial that is not final is another try."""
    if verdict is Verdict.DENY and not final:
        return Expected.RETRY
    return Expected(verdict.value)


def _outcome(policy: Policy, case: Case) -> CaseOutcome:
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
