"""How a plan and its events are shown, and the exit code that a plan's end asks for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import command
from chimera.cli.output import duration, facts, moment, say
from chimera.errors import PlanFailed
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.client import PlanEvent
    from chimera.models.work.plan import Plan

Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Give up after this time; exit code 124."),
]

_BAD_ENDS = frozenset({"completed_with_failures", "failed", "cancelled", "expired"})


def plan_json(plan: "Plan") -> dict[str, Any]:
    """The plan's fields, with ids as the command line takes them."""
    values = plan.model_dump(mode="json", exclude={"first_audit_seq"})
    ids = {"plan_id": format_id(IdKind.PLAN, plan.plan_id), "retry_of": _retry_of(plan) or None}
    return values | ids | {"paused": plan.paused, "redacted": plan.erased_at is not None}


def event_json(event: "PlanEvent") -> dict[str, Any]:
    """The event's fields, with the task's id as people see it."""
    values = event.model_dump(mode="json")
    return values | {"task_id": event.task_id and format_id(IdKind.TASK, event.task_id)}


def show_plan(plan: "Plan", budget: str = "", waits: Sequence[str] = ()) -> None:
    """The plan, for people; with how its budget stands, and what of it waits for a skill, a line each."""
    counts = plan.counts
    numbers = [
        f"{counts.committed} committed",
        f"{counts.in_review} in review",
        f"{counts.denied} denied",
        f"{counts.failed} failed",
        *([f"{counts.cancelled} cancelled"] if counts.cancelled else []),
        *([f"{counts.open} open"] if counts.open else []),
    ]
    took = f", {duration((plan.finished_at - plan.submitted_at).total_seconds())} after" if plan.finished_at else ""
    facts(
        [
            ("plan", format_id(IdKind.PLAN, plan.plan_id)),
            ("tenant", plan.tenant_id),
            ("planner", plan.planner),
            ("goal", f"redacted {moment(plan.erased_at)}" if plan.erased_at else plan.goal),
            ("state", plan.standing),
            ("paused", f"{moment(plan.paused_at)} by {plan.paused_by}" if plan.paused else ""),
            ("because", f"{plan.failure.code}: {plan.failure.message}" if plan.failure else ""),
            ("tasks", f"{counts.tasks}: {', '.join(numbers)}" if counts.tasks else _no_tasks(plan)),
            ("waiting", "\n".join(waits)),
            ("budget", budget),
            ("priority", str(plan.priority)),
            ("session", plan.session_id or ""),
            ("retry of", _retry_of(plan)),
            ("key", plan.idempotency_key or ""),
            ("deadline", moment(plan.deadline)),
            ("submitted", moment(plan.submitted_at)),
            ("finished", f"{moment(plan.finished_at)}{took}" if plan.finished_at else ""),
            ("trace", plan.trace_id),
        ]
    )


def next_step(plan: "Plan") -> None:
    """What to type next."""
    plan_id, tenant = format_id(IdKind.PLAN, plan.plan_id), ("--tenant", plan.tenant_id)
    if plan.state == "in_review":
        say(f"next: {command('review', 'list', *tenant, '--plan', plan_id)}")
    elif plan.state == "completed" or (plan.state in _BAD_ENDS and plan.counts.tasks):
        if plan.counts.tasks:
            say(f"next: {command('plan', 'results', plan_id, *tenant)}")
        if plan.state == "completed_with_failures":
            say(f"or:   {command('plan', 'retry', plan_id, '--failed', *tenant)}")
    elif plan.paused:
        say(f"next: {command('plan', 'resume', plan_id, *tenant)}")
    elif plan.state not in _BAD_ENDS:
        say(f"next: {command('plan', 'watch', plan_id, *tenant)}")


def end_with(plan: "Plan") -> None:
    """Nothing for a plan that completed or waits for people.

    Raises:
        PlanFailed: it ended otherwise, or tasks of it failed.
    """
    if plan.state in _BAD_ENDS:
        why = f"{plan.failure.code}: {plan.failure.message}" if plan.failure else ""
        if plan.state == "completed_with_failures":
            why = f"{plan.counts.failed + plan.counts.cancelled} of {plan.counts.tasks} tasks came to no answer"
        shown = f" ({why})" if why else ""
        raise PlanFailed(f"plan {format_id(IdKind.PLAN, plan.plan_id)} {plan.standing}{shown}")


def _retry_of(plan: "Plan") -> str:
    return format_id(IdKind.PLAN, plan.retry_of) if plan.retry_of else ""


def _no_tasks(plan: "Plan") -> str:
    if plan.state == "completed":
        return "none: there was nothing to do"
    return "none" if plan.finished_at else "not planned yet"
