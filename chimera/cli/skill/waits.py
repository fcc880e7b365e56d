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

# Whom tasks and plans of a tenant wait for that the operator's floor isolates.
_AT_HOST = "a worker at level host with the"

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
    with_able: Waits = []
    for wait in found:
        having = holders.of_skill(wait.skill, wait.tenant_id)
        able = _apart(having, wait.tenant_id) if wait.isolated else having
        lacked = workforce.slots(wait.tenant_id, wait.skill) < max(1, workforce.slots(wait.tenant_id))
        if lacked or able != having or able is None:
            with_able.append((wait, able))
    return with_able


def _apart(nodes: Workers, tenant_id: str) -> Workers:
    """Of these workers those that run a tenant's code apart from everybody's logins: in hosts, or with its own."""
    told = _answering()
    if nodes is None or told is None:
        return None
    # Workers with a tenant's own logins only beat.
    is_bound = tenant_id in services().adapters.queue.bound()
    return [node for node in nodes if (told[node].isolation == "host" if node in told else is_bound)]


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
    what = f"{_AT_HOST if wait.isolated else 'the'} skill {wait.skill}"
    who = f"{wait.count} {'tasks wait' if many else 'task waits'} for {what} since {age(wait.since)}"
    if workers is None:
        return who
    if not workers:
        return f"{who}; no worker that takes them {'is one' if wait.isolated else 'has it'}"
    one, several = ("is one", "are") if wait.isolated else ("has it", "have it")
    return f"{who}; {', '.join(workers)} {several if len(workers) > 1 else one}"


def planner_lacking(plan: "Plan") -> dict[str, Any] | None:
    """What a plan waits for that is not planned because no worker has its planner, or none that may run it.

    Looks at all workers, where none that beats has it: those that only plan do not beat.
    """
    waited = (datetime.now(UTC) - plan.submitted_at).total_seconds()
    if plan.state != "submitted" or plan.paused or waited < _PLANNED_WITHIN_SECONDS:
        return None
    isolated = services().adapters.policies.in_force(plan.tenant_id).isolated
    beating, told = Holders().of_planner(plan.planner), _answering()
    if beating is None or told is None:
        return None
    having = sorted({*beating, *(name for name, worker in told.items() if plan.planner in worker.planners)})
    if (_apart(having, plan.tenant_id) if isolated else having) != []:
        return None
    return {"planner": plan.planner, "waiting": "plan", "workers": [], "isolated": isolated}


def planner_told(lacking: dict[str, Any]) -> str:
    """`it waits for the planner triage; no worker has it`."""
    if lacking["isolated"]:
        return f"it waits for {_AT_HOST} planner {lacking['planner']}; no worker is one"
    return f"it waits for the planner {lacking['planner']}; no worker has it"


def wait_json(wait: "SkillWait", workers: Workers) -> dict[str, Any]:
    """The wait, and the workers that have its skill; null where the broker does not answer."""
    return wait.model_dump(mode="json", exclude={"tenant_id"}) | {"waiting": "tasks", "workers": workers}
