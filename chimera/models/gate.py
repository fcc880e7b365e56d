"""The gate: what is to be done with a staged result. Pure: the same input always gets the same ruling."""

from typing import Any
from uuid import UUID

from pydantic import Field

from chimera.models.decision import Reason, Ruling, Verdict
from chimera.models.record import Record, canonical_json, sha256
from chimera.models.result import FailureOutcome, SuccessOutcome
from chimera.models.rules import TextRules
from chimera.models.task import TaskState


class Policy(Record):
    """What the gate asks of a result."""

    name: str = "default@v1"
    min_confidence: float = Field(default=0.70, ge=0, le=1)
    rules: TextRules = TextRules()

    @property
    def version(self) -> str:
        """Name and content hash: `default@v1+3f9a0c12`."""
        return f"{self.name}+{sha256(canonical_json(self.model_dump(mode='json'))).hex()[:8]}"


class Staged(Record):
    """A staged result, with what the gate needs to know of its task."""

    task_id: UUID
    skill: str
    input: dict[str, Any]
    attempt: int
    max_attempts: int
    outcome: SuccessOutcome | FailureOutcome
    sha256: bytes
    state_key: str | None = None
    # The version of the shared state when the task was claimed; 0 where the key did not exist.
    state_version: int | None = None


def gate(staged: Staged, policy: Policy, output_fault: str | None) -> Ruling:
    """Rules on one result.

    A failure is tried again while attempts are left. An output that does not fit its schema
    (`output_fault` says why) is denied. A text rule that fires, or a confidence that is missing, no
    number from 0 to 1, or below the policy's, asks for a person. All else is approved.
    """
    outcome = staged.outcome
    if isinstance(outcome, FailureOutcome):
        return _failed(staged, outcome)
    if output_fault is not None:
        return Ruling(
            verdict=Verdict.DENY,
            reasons=(Reason(rule="output.schema", value=output_fault),),
            next_state=TaskState.DENIED,
        )
    record = {
        "input": staged.input,
        "output": outcome.output,
        "reasoning": outcome.reasoning,
        "evidence": outcome.evidence,
    }
    reasons = (*_confidence(outcome.confidence, policy.min_confidence), *policy.rules.fired(record))
    if reasons:
        return Ruling(verdict=Verdict.HITL, reasons=reasons, next_state=TaskState.IN_REVIEW)
    return APPROVED


APPROVED = Ruling(verdict=Verdict.APPROVE, next_state=TaskState.APPROVED)


def state_conflict(staged: Staged) -> Ruling:
    """The ruling where shared state changed after the task had read it."""
    return _again(staged, Reason(rule="state.changed", value=staged.state_key))


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


def _failed(staged: Staged, failure: FailureOutcome) -> Ruling:
    reason = Reason(rule=f"failure.{failure.code}")
    if failure.retryable:
        return _again(staged, reason)
    return Ruling(verdict=Verdict.DENY, reasons=(reason,), next_state=TaskState.EXHAUSTED)


def _again(staged: Staged, reason: Reason) -> Ruling:
    """Denied for now: another attempt, or the end where none is left."""
    if staged.attempt < staged.max_attempts:
        return Ruling(verdict=Verdict.DENY, reasons=(reason,), next_state=TaskState.QUEUED)
    end = Reason(rule="attempts.exhausted", value=float(staged.attempt))
    return Ruling(verdict=Verdict.DENY, reasons=(reason, end), next_state=TaskState.EXHAUSTED)


def _confidence(confidence: float | None, minimum: float) -> tuple[Reason, ...]:
    if confidence is None:
        return (Reason(rule="confidence.missing"),)
    if not 0 <= confidence <= 1:
        return (Reason(rule="confidence.invalid", value=confidence),)
    if confidence < minimum:
        return (Reason(rule="confidence.below", threshold=minimum, value=confidence),)
    return ()
