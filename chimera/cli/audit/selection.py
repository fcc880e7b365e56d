"""The options that say which entries of an audit are meant."""

from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import find_id, plan_handle
from chimera.cli.since import period
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind

if TYPE_CHECKING:
    from chimera.models.audit.entry_filter import EntryFilter
    from chimera.models.audit.kinds import AuditKind

PlanOption = Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only entries of this plan.")]
TaskOption = Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only entries of this task.")]
ByActor = Annotated[
    str | None, typer.Option("--actor", metavar="NAME", help="Only what this person or part did: ana, policy, sweep.")
]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", metavar="KIND", help="Only of this kind: review.decided; review for all of review.*"),
]
RuleOption = Annotated[
    str | None,
    typer.Option("--rule", metavar="RULE", help="Only what this rule is a reason of: keyword.password, or keyword."),
]


def selection(
    tenant: str,
    since: str | None,
    until: str | None,
    who: str | None,
    plan: str | None,
    task: str | None,
    kind: str | None,
    rule: str | None,
) -> "EntryFilter":
    """The filter that the options make.

    Raises:
        InvalidInput: one of them is not valid.
        PlanNotFound, TaskNotFound: the tenant has no such plan or task.
    """
    from chimera.models.audit.entry_filter import EntryFilter

    start, end = period(since, until)
    return EntryFilter(
        since=start,
        until=end,
        actor=who,
        plan_id=plan_handle(tenant, plan).plan_id if plan else None,
        task_id=find_id(tenant, IdKind.TASK, task) if task else None,
        kinds=_kinds(kind) if kind else (),
        rule=rule,
    )


def _kinds(text: str) -> "tuple[AuditKind, ...]":
    from chimera.models.audit.kinds import AuditKind
    from chimera.models.record import is_named

    found = tuple(kind for kind in AuditKind if is_named(kind, text))
    if not found:
        raise InvalidInput(f"--kind {text}: it must be one of {', '.join(AuditKind)}, or the part before the point")
    return found
