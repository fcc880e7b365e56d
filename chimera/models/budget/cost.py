"""What is known of an attempt's cost once it is over."""

from enum import StrEnum

from chimera.models.work.task import TaskState


class CostKnowledge(StrEnum):
    """What is known of the cost of an attempt that is over."""

    REPORTED = "reported"  # its result says it
    UNKNOWN = "unknown"  # its agent is gone, or was ended: all that was set aside counts as spent
    UNUSED = "unused"  # it never began


_BY_FOUND = {
    TaskState.QUEUED: CostKnowledge.UNUSED,
    TaskState.RUNNING: CostKnowledge.UNKNOWN,
    TaskState.STAGED: CostKnowledge.REPORTED,
}


def cost_knowledge(found: TaskState) -> CostKnowledge | None:
    """What is known of the cost of a task's attempt, by where its task was found; None where it is settled already."""
    return _BY_FOUND.get(found)
