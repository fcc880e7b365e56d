"""A person's version of a result: what it is, how it is gated, and what of the gate's findings is news. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import Policy
from chimera.models.record import canonical_json, sha256
from chimera.models.work.decision import Reason, Ruling
from chimera.models.work.result import SuccessOutcome

# A place where a rule found something; what has no place is told apart by its value.
_Finding = tuple[str, str]


def edited(staged: Staged, output: Any) -> Staged:
    """The result with another output. It has no confidence: that was the agent's, in what it said itself.

    Raises:
        ValueError: the output holds NaN or an infinity.
        TypeError: it is not JSON-compatible, or the result was a failure.
    """
    if not isinstance(staged.outcome, SuccessOutcome):
        raise TypeError("a failure has no output")
    canonical_json(output)  # pydantic would write NaN as null
    outcome = staged.outcome.model_copy(update={"output": output, "confidence": None})
    text = outcome_text(outcome)
    return staged.model_copy(update={"outcome": outcome, "size": len(text), "sha256": sha256(text)})


def outcome_text(outcome: object) -> str:
    """The JSON text of an outcome as it is stored and hashed."""
    assert isinstance(outcome, SuccessOutcome)
    return canonical_json(outcome.model_dump(mode="json"))


def gate_edit(staged: Staged, policy: Policy, output_fault: str | None) -> Ruling:
    """Rules on an edited result as `gate` does on an agent's, without asking for a confidence or drawing a sample.

    Args:
        staged: the edited result.
        policy: what is in force now.
        output_fault: what `schema_fault` says.
    """
    certain = staged.outcome.model_copy(update={"confidence": 1.0})
    return gate(staged.model_copy(update={"outcome": certain}), policy, output_fault)


def news(found: Iterable[Reason], shown: Iterable[Reason]) -> tuple[Reason, ...]:
    """Of the reasons found in an edited result those that the person was not shown before.

    A rule is news at a place where it was not found before, or not as often.
    """
    known = Counter(finding for reason in shown for finding in _findings(reason))
    new = []
    for reason in found:
        here = Counter(_findings(reason))
        if here - known:
            new.append(reason)
    return tuple(new)


def _findings(reason: Reason) -> list[_Finding]:
    if reason.spans:
        return [(reason.rule, span.path) for span in reason.spans]
    return [(reason.rule, str(reason.value))]
