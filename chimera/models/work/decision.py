"""A decision: what the Judge or a person said about a result, and why."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from chimera.models.record import Record
from chimera.models.work.task import TaskState


class Verdict(StrEnum):
    """What is done with a result."""

    APPROVE = "approve"  # commit it
    DENY = "deny"  # never commit it
    HITL = "hitl"  # a person decides


class Span(Record):
    """Where in the judged record a rule found something: a path like `output.reply` and character offsets."""

    path: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class Reason(Record):
    """One rule that fired. It names what was found and where, and never holds the text itself."""

    rule: str
    threshold: float | None = None
    value: float | str | None = None
    spans: tuple[Span, ...] = ()

    def __str__(self) -> str:
        """`confidence.below 0.61 < 0.7`, `keyword.password in output.reply`."""
        parts = [self.rule]
        if self.threshold is not None:
            parts.append(f"{_shown(self.value, self.threshold)} < {self.threshold:g}")
        elif self.value is not None:
            is_count = isinstance(self.value, float) and self.value.is_integer()
            parts.append(str(int(self.value)) if is_count else str(self.value))
        if self.spans:
            parts.append("in " + ", ".join(dict.fromkeys(span.path for span in self.spans)))
        return " ".join(parts)


def _shown(value: float | str | None, threshold: float) -> str:
    """Two decimals, or all where two would read as if the value reached the threshold."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:.2f}"
    return repr(value) if float(short) >= threshold > value else short


class Ruling(Record):
    """What the gate says about one result, before it is written."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    # Where the task goes: approved, denied, in_review, exhausted, or back to queued for another attempt.
    next_state: TaskState
    # Sent back for what the result says, or because shared state changed, not for a failure: the task's `replans`
    # counts it, and the planner is asked where it has a replan hook. Only with QUEUED.
    to_planner: bool = False

    @property
    def final(self) -> bool:
        """Whether the task ends with it."""
        return self.next_state not in {TaskState.QUEUED, TaskState.IN_REVIEW}


class Decision(Record):
    """A ruling on one task's result, ready to be written with its audit entry."""

    task_id: UUID
    attempt: int = Field(ge=0)
    # The agent that ran the attempt; None where none did.
    agent_id: UUID | None = None
    ruling: Ruling
    # Empty where a task ends without a result.
    result_sha256: bytes
    decided_by: str
    policy_version: str
