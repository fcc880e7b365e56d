"""How right results are, where the submitter knew what is right: outputs against labels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chimera.models.gate.label import is_right

if TYPE_CHECKING:
    from chimera.ports.plan_store import TaskResult

# The groups that are scored, by the state of a task; what has no decision yet is left out.
GROUPS = {"approved": "committed", "in_review": "in_review", "denied": "denied", "exhausted": "failed"}
ALL = "all"


@dataclass(slots=True)
class Tally:
    """How many results of a group there are, have a label, and match it."""

    tasks: int = 0
    labelled: int = 0
    right: int = 0

    @property
    def accuracy(self) -> float | None:
        """Right among those with a label; None where none has one."""
        return self.right / self.labelled if self.labelled else None

    def add(self, label: Mapping[str, Any] | None, output: Any) -> None:
        """Counts one result."""
        self.tasks += 1
        if label is not None:
            self.labelled += 1
            self.right += is_right(label, output)

    def as_json(self) -> dict[str, Any]:
        """`{"tasks": 3, "labelled": 2, "right": 1, "accuracy": 0.5}`."""
        return {
            "tasks": self.tasks,
            "labelled": self.labelled,
            "right": self.right,
            "accuracy": self.accuracy,
        }


def score(results: Iterable["TaskResult"]) -> dict[str, Tally]:
    """Tallies by group, and of `all` groups together."""
    tallies = {group: Tally() for group in (*GROUPS.values(), ALL)}
    for result in results:
        group = GROUPS.get(result.state)
        if group is not None:
            output = getattr(result.outcome, "output", None)
            tallies[group].add(result.label, output)
            tallies[ALL].add(result.label, output)
    return tallies
