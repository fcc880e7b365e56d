"""The gate: what is to be done with a staged result. Pure: the same input always gets the same ruling."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import Field

from chimera.models.gate.policy import MAX_REPLANS, Amount, Bands, Policy, SkillPolicy
from chimera.models.gate.rules import Then
from chimera.models.record import Record
from chimera.models.text.allowance import Allowance
from chimera.models.work.decision import Reason, Ruling, Verdict
from chimera.models.work.json_schema import UNCHECKED, JsonSchema
from chimera.models.work.result import INVALID_RESULT, NO_USAGE, FailureOutcome, SuccessOutcome, Usage
from chimera.models.work.task import TaskState


class Staged(Record):
    """A staged result, with what the gate needs to know of its task."""

    task_id: UUID
    skill: str
    input: dict[str, Any]
    attempt: int
    # The agent that ran the attempt; None where it is no task's, but a case of a policy.
    agent_id: UUID | None = None
    max_attempts: int
    # How often a result of the task was sent back with the reasons.
    replans: int = 0
    outcome: SuccessOutcome | FailureOutcome
    # Bytes of the outcome's JSON text.
    size: int = Field(default=0, ge=0)
    sha256: bytes
    # Of the version of the skill that ran; None where no version is stored that it could have been.
    fingerprint: bytes | None = None
    usage: Usage = NO_USAGE
    state_key: str | None = None
    # The version of the shared state when the task was claimed; 0 where the key did not exist.
    state_version: int | None = None


Finding = tuple[Then, Reason]

# A draw that no sample takes: draws are from 0 to below 1.
NEVER_SAMPLED = 1.0


def schema_fault(staged: Staged, schema: JsonSchema | None) -> str | None:
    """Where a result's output does not fit its skill's own schema; None where it does, and for failures.

    Args:
        staged: the result.
        schema: of the version of the skill that ran; None where none is stored that can be used.
    """
    if isinstance(staged.outcome, FailureOutcome):
        return None
    return UNCHECKED if schema is None else schema.fault(staged.outcome.output, staged.size)


def invalid(staged: Staged) -> Staged:
    """A result that cannot be judged as it is, as the failure that this is."""
    failure = FailureOutcome(code=INVALID_RESULT, message="the result cannot be judged", retryable=False)
    return staged.model_copy(update={"outcome": failure})


def gate(
    staged: Staged,
    policy: Policy,
    output_fault: str | None,
    draw: float = NEVER_SAMPLED,
    allowance: Allowance | None = None,
) -> Ruling:
    """Rules on one result.

    A failure is tried again while attempts are left. Everything that the policy finds is among the reasons, and the
    strongest of it rules: a denial, else another try, else a person. Where nothing is found the result is approved,
    or goes to a person because the draw made it one of the sample.

    Args:
        staged: the result.
        policy: what is asked of it.
        output_fault: what `schema_fault` says.
        draw: a random number from 0 to below 1.
        allowance: what may be spent on the result's text; where it does not do for all of it, a person decides.
    """
    outcome = staged.outcome
    if isinstance(outcome, FailureOutcome):
        return _failed(staged, outcome)
    findings = [*_findings(staged, outcome, policy, output_fault, allowance or Allowance())]
    asked = policy.of_skill(staged.skill)
    if not findings and asked.sample is not None and draw < asked.sample:
        findings.append((Then.HITL, Reason(rule="sample", value=asked.sample)))
    if not findings:
        return APPROVED
    reasons = tuple(reason for _, reason in findings)
    strongest = max((then for then, _ in findings), key=lambda then: then.strength)
    if strongest is Then.HITL:
        return Ruling(verdict=Verdict.HITL, reasons=reasons, next_state=TaskState.IN_REVIEW)
    if strongest is Then.RETRY:
        return _sent_back(staged, reasons, policy.max_replans)
    return Ruling(verdict=Verdict.DENY, reasons=reasons, next_state=TaskState.DENIED)


APPROVED = Ruling(verdict=Verdict.APPROVE, next_state=TaskState.APPROVED)


def state_conflict(staged: Staged, max_replans: int = MAX_REPLANS) -> Ruling:
    """The ruling where shared state changed after the task had read it.

    The planner is asked only as often as it may be; after that the task is done again as it is.
    """
    ruling = _again(staged, (Reason(rule="state.changed", value=staged.state_key),))
    return _to_planner(ruling) if staged.replans < max_replans else ruling


def lease_lost(attempt: int) -> Ruling:
    """The ruling on a task whose last attempt was never staged: its agent died or overran its lease."""
    return Ruling(
        verdict=Verdict.DENY,
        reasons=(Reason(rule="attempts.exhausted", value=float(attempt)), Reason(rule="agent.lost")),
        next_state=TaskState.EXHAUSTED,
    )


def stopped(state: TaskState) -> Ruling:
    """The ruling on a task whose plan was cancelled or has expired."""
    return Ruling(verdict=Verdict.DENY, reasons=(Reason(rule=f"plan.{state}"),), next_state=state)


def _findings(
    staged: Staged, outcome: SuccessOutcome, policy: Policy, output_fault: str | None, allowance: Allowance
) -> Iterator[Finding]:
    asked = policy.of_skill(staged.skill)
    if output_fault == UNCHECKED:
        yield Then.HITL, Reason(rule="output.unchecked")
    elif output_fault is not None:
        yield Then.DENY, Reason(rule="output.schema", value=output_fault)
    elif (fault := policy.output_fault(staged.skill, outcome.output)) is not None:
        yield Then.DENY, Reason(rule="output.policy_schema", value=fault)
    yield from _limits(staged, outcome, asked)
    yield from _confidence(outcome.confidence, asked.confidence or Bands())
    record = {
        "input": staged.input,
        "output": outcome.output,
        "reasoning": outcome.reasoning,
        "evidence": outcome.evidence,
        "tools": outcome.tools,
        "effects": outcome.effects,
    }
    for fired in policy.text_rules.fired(staged.skill, record, allowance):
        yield fired.then, Reason(rule=fired.rule, spans=fired.spans)
    if allowance.used_up is not None:
        yield Then.HITL, Reason(rule="gate.exhausted", value=allowance.used_up)


def _limits(staged: Staged, outcome: SuccessOutcome, asked: SkillPolicy) -> Iterator[Finding]:
    if asked.max_result_bytes is not None and staged.size > asked.max_result_bytes:
        yield Then.DENY, _above("result.size", staged.size, asked.max_result_bytes)
    limit = asked.max_usage or Amount()
    if limit.cost_usd is not None and staged.usage.cost_usd > limit.cost_usd:
        yield Then.DENY, _above("usage.cost_usd", staged.usage.cost_usd, limit.cost_usd)
    if limit.tokens is not None and staged.usage.tokens > limit.tokens:
        yield Then.DENY, _above("usage.tokens", staged.usage.tokens, limit.tokens)
    yield from _not_among("tool.not_allowed", outcome.tools, asked.tools)
    yield from _not_among("effect.not_allowed", outcome.effects, asked.effects)


def _above(rule: str, value: Decimal | int, limit: Decimal | int) -> Reason:
    return Reason(rule=rule, value=f"{value} > {limit}")


def _not_among(rule: str, said: Sequence[str], allowed: Sequence[str] | None) -> Iterator[Finding]:
    """The number of names that are not allowed; not the names, which are the skill's own text."""
    if allowed is not None and (count := len(set(said) - set(allowed))):
        yield Then.DENY, Reason(rule=rule, value=float(count))


def _failed(staged: Staged, failure: FailureOutcome) -> Ruling:
    reason = Reason(rule=f"failure.{failure.code}")
    if not failure.retryable:
        return Ruling(verdict=Verdict.DENY, reasons=(reason,), next_state=TaskState.EXHAUSTED)
    return _again(staged, (reason,))


def _again(staged: Staged, reasons: tuple[Reason, ...]) -> Ruling:
    """Denied for now: another attempt, or the end where none is left."""
    if staged.attempt < staged.max_attempts:
        return Ruling(verdict=Verdict.DENY, reasons=reasons, next_state=TaskState.QUEUED)
    end = Reason(rule="attempts.exhausted", value=float(staged.attempt))
    return Ruling(verdict=Verdict.DENY, reasons=(*reasons, end), next_state=TaskState.EXHAUSTED)


def _sent_back(staged: Staged, reasons: tuple[Reason, ...], max_replans: int) -> Ruling:
    """Denied for now and back with the reasons, unless that has been done as often as it may be."""
    if staged.replans < max_replans:
        return _to_planner(_again(staged, reasons))
    end = Reason(rule="replans.exhausted", value=float(staged.replans))
    return Ruling(verdict=Verdict.DENY, reasons=(*reasons, end), next_state=TaskState.EXHAUSTED)


def _to_planner(ruling: Ruling) -> Ruling:
    return ruling.model_copy(update={"to_planner": ruling.next_state is TaskState.QUEUED})


def _confidence(confidence: float | None, bands: Bands) -> Iterator[Finding]:
    if confidence is None:
        yield Then.HITL, Reason(rule="confidence.missing")
    elif not 0 <= confidence <= 1:
        yield Then.HITL, Reason(rule="confidence.invalid", value=confidence)
    elif confidence < bands.approve:
        then, threshold = _band(confidence, bands)
        yield then, Reason(rule="confidence.below", threshold=threshold, value=confidence)


def _band(confidence: float, bands: Bands) -> tuple[Then, float]:
    """What a confidence below `approve` leads to, and the threshold that it is below."""
    if confidence >= bands.hitl:
        return Then.HITL, bands.approve
    if bands.retry is None:
        return Then.DENY, bands.hitl
    return (Then.RETRY, bands.hitl) if confidence >= bands.retry else (Then.DENY, bands.retry)
