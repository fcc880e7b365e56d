"""Where planners and their replan hooks run."""

from collections.abc import Sequence
from typing import Protocol

from chimera.models.work.draft import Draft
from chimera.models.work.plan import PlanFailure
from chimera.models.work.result import readable
from chimera.ports.plan_store import PlanningJob
from chimera.ports.replan_store import ReplanJob, Replanned
from chimera.ports.skill_runner import EndingWith


class PlanRejected(Exception):
    """The planner failed, or yielded what cannot become tasks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = PlanFailure(code=code, message=readable(message))


class PlannerRunner(Protocol):
    """Runs planners; a planner is ended when its time is up or its lease lost."""

    def drafts(self, tenant_id: str, job: PlanningJob, ending_with: EndingWith, /) -> Sequence[Draft]:
        """The tasks that a planner yields.

        Raises:
            PlanRejected: it failed, took too long, or yielded what cannot become tasks.
        """
        ...

    def replanned(self, tenant_id: str, job: ReplanJob, ending_with: EndingWith, /) -> Replanned | None:
        """What a planner's hook answers about a task that was sent back; None where it gives it up.

        Raises:
            PlanRejected: as above.
        """
        ...
