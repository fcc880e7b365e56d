"""What waits for a process that has a skill, with the workers that have it now."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chimera.cli.context import services
from chimera.cli.output import age
from chimera.cli.skill.view import Holders, Workers
from chimera.errors import QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chimera.models.work.plan import Plan
    from chimera.models.work.presence import WorkerNote
    from chimera.ports.skill_waits import SkillWait

# A planner's message is taken within this, where a worker is free.
_PLANNED_WITHIN_SECONDS = 3.0

Waits = list[tuple["SkillWait", Workers]]


def plan_waits(tenant_id: str, plan_id: UUID) -> Waits:
    """What of a plan waits for a skill that no worker has, or not all have."""
    return with_workers(services().adapters.waits.of_plan(tenant_id, plan_id))


def with_workers(waits: "Iterable[SkillWait]") -> Waits:
    """What waits, with the workers that can end that: whose agents take the tenant's tasks.

    Without tasks whose skill all such agents have: those wait their turn.
    """
    found = list(waits)
    if not found:
        return []
    holders = Holders()
    try:
        workforce = services().adapters.agents.workforce()
    except QueueUnavailable:
        return [(wait, None) for wait in found]
    return [
        (wait, holders.of_skill(wait.skill, wait.tenant_id))
        for wait in found
        if workforce.slots(wait.tenant_id, wait.skill) < max(1, workforce.slots(wait.tenant_id))
    ]


def _answering() -> "dict[str, WorkerNote] | None":
    """The workers that are there, by name; None where the broker does not answer."""
    from chimera.cli.stack.workers import present_workers

    try:
        return present_workers()
    except QueueUnavailable:
        return None


def wait_told(wait: "SkillWait", workers: Workers) -> str:
    """`12 tasks wait for the skill shout since 3m12s; of the workers worker@a has it`."""
    many = wait.count != 1
    who = f"{wait.count} {'tasks wait' if many else 'task waits'} for the skill {wait.skill} since {age(wait.since)}"
    if workers is None:
        return who
    if not workers:
        return f"{who}; no worker that takes them has it"
    return f"{who}; {', '.join(workers)} {'have' if len(workers) > 1 else 'has'} it"


def lacks_planner(plan: "Plan") -> bool:
    """Whether a plan is not planned because no worker has its planner.

    Looks at all workers, where none that beats has it: those that only plan do not beat.
    """
    waited = (datetime.now(UTC) - plan.submitted_at).total_seconds()
    if plan.state != "submitted" or plan.paused or waited < _PLANNED_WITHIN_SECONDS:
        return False
    if Holders().of_planner(plan.planner) != []:
        return False
    told = _answering()
    return told is not None and not any(plan.planner in (worker.planners) for worker in told.values())


def wait_json(wait: "SkillWait", workers: Workers) -> dict[str, Any]:
    """The wait, and the workers that have its skill; null where the broker does not answer."""
    return wait.model_dump(mode="json", exclude={"tenant_id"}) | {"waiting": "tasks", "workers": workers}
