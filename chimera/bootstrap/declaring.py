"""Saying which skills and planners a process has."""

from contextlib import closing

from chimera.adapters.postgres.database import Database
from chimera.adapters.postgres.stores.skill_store import SkillStore
from chimera.models.work.catalogue import Catalogue
from chimera.models.work.declaration import planner_declarations, skill_declarations
from chimera.settings import Settings


def declare(settings: Settings, catalogue: Catalogue) -> None:
    """Stores what a worker's process has; over a connection that is closed again, because the process will fork.

    Raises:
        SettingsMissing: the process has no credentials of a worker.
        StoreUnavailable: PostgreSQL does not answer.
        StoreRefused: the schema is an older one, or does not take what is declared.
    """
    skills = skill_declarations(catalogue.skills.values())
    planners = planner_declarations(catalogue.planners.values())
    with closing(Database(settings.require("worker_database_url"), pool_size=1)) as database:
        SkillStore(database).declare(skills, planners)
