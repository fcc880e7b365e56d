"""What skills and planners there are, as workers said when they started."""

from collections.abc import Collection, Sequence
from typing import Protocol

from chimera.models.work.declaration import PlannerDeclaration, SkillDeclaration, StoredPlanner, StoredSkill


class SkillStore(Protocol):
    """Each method is one transaction, of no tenant; all raise StoreUnavailable.

    A skill or planner whose schemas change is stored beside what it was: nothing is forgotten.
    """

    def declare(self, skills: Sequence[SkillDeclaration], planners: Sequence[PlannerDeclaration]) -> None:
        """Stores what a worker has, whose process starts now; role worker."""
        ...

    def skills(self, name: str | None = None) -> list[StoredSkill]:
        """All skills, or all versions of one, by name; the version that was declared last first."""
        ...

    def planners(self, name: str | None = None) -> list[StoredPlanner]:
        """As `skills`, the planners."""
        ...

    def output_schemas(self, fingerprints: Collection[bytes]) -> dict[bytes, str | None]:
        """JSON texts of the output's schema of these versions, of those that are stored; role judge or app.

        None for one that is larger than any that is taken.
        """
        ...
