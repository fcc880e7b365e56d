"""Chimera: gated agent swarms on Celery.

Everything public is here; it is imported when it is first used, so that `chimera --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chimera.client import Chimera, PlanEvent, PlanHandle
    from chimera.models.gate.review import CardStatus, ReviewCard
    from chimera.models.work.context import TaskContext
    from chimera.models.work.decision import Reason
    from chimera.models.work.history import TaskEvent, TaskHistory, TaskStanding
    from chimera.models.work.plan import Plan, PlanChange, PlanCounts, PlanState
    from chimera.models.work.planner import Planner
    from chimera.models.work.replan import DeniedTask
    from chimera.models.work.result import Usage
    from chimera.models.work.session import Session, SessionChange, SessionState
    from chimera.models.work.skill import Skill, SkillFailed, Success
    from chimera.models.work.state import StateEntry
    from chimera.models.work.task import TaskSpec, TaskState
    from chimera.ports.plan_store import TaskResult
    from chimera.registration import planner, skill
    from chimera.services.task_context import current_task

__all__ = [
    "CardStatus",
    "Chimera",
    "DeniedTask",
    "Plan",
    "PlanChange",
    "PlanCounts",
    "PlanEvent",
    "PlanHandle",
    "PlanState",
    "Planner",
    "Reason",
    "ReviewCard",
    "Session",
    "SessionChange",
    "SessionState",
    "Skill",
    "SkillFailed",
    "StateEntry",
    "Success",
    "TaskContext",
    "TaskEvent",
    "TaskHistory",
    "TaskResult",
    "TaskSpec",
    "TaskStanding",
    "TaskState",
    "Usage",
    "__version__",
    "current_task",
    "planner",
    "skill",
]
__version__ = "0.1.0"

_HOMES = {
    "chimera.client": ("Chimera", "PlanEvent", "PlanHandle"),
    "chimera.models.work.context": ("TaskContext",),
    "chimera.models.work.decision": ("Reason",),
    "chimera.models.work.history": ("TaskEvent", "TaskHistory", "TaskStanding"),
    "chimera.models.work.plan": ("Plan", "PlanChange", "PlanCounts", "PlanState"),
    "chimera.models.work.replan": ("DeniedTask",),
    "chimera.models.work.result": ("Usage",),
    "chimera.models.gate.review": ("CardStatus", "ReviewCard"),
    "chimera.models.work.session": ("Session", "SessionChange", "SessionState"),
    "chimera.models.work.planner": ("Planner",),
    "chimera.models.work.skill": ("Skill", "SkillFailed", "Success"),
    "chimera.models.work.state": ("StateEntry",),
    "chimera.models.work.task": ("TaskSpec", "TaskState"),
    "chimera.ports.plan_store": ("TaskResult",),
    "chimera.registration": ("planner", "skill"),
    "chimera.services.task_context": ("current_task",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
