"""A draft: a task as a planner made it, checked, before it has an id and a place in a wave."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One of a plan's drafts, in the planner's order."""

    skill: str
    # JSON text, as the skill's input schema has it; and that of the label.
    input: str
    label: str | None
    timeout_seconds: float
    max_attempts: int
    state_key: str | None
    # The places, from 0, of the drafts that must be approved first: each is earlier.
    before: tuple[int, ...] = ()
