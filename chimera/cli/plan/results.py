"""`chimera plan results`: what the tasks of a plan brought, and how right it is."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import PlanId, Tenant, choice, plan_handle
from chimera.cli.output import Format, Output, document, documents, number, say, shown_ids, stdout, table, tell
from chimera.cli.plan.score import ALL, Tally, score
from chimera.cli.text import one_line
from chimera.errors import InvalidInput
from chimera.models.ids import IdKind, format_id

if TYPE_CHECKING:
    from chimera.ports.plan_store import TaskResult

# A pipe gets whole ids, a terminal short ones.
_ROW = "{:<35}  {:<9}  {:>4}  {}"
_SHORT_ROW = "{:<15}  {:<9}  {:>4}  {}"
_OUTPUT_WIDTH = 200
# Where less than this is left of a line the output has the next one to itself.
_LEAST_OUTPUT_WIDTH = 24
_INDENT = "  "


def results(
    plan: PlanId,
    tenant: Tenant,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="Only tasks in this state: approved, in_review, denied, ...")
    ] = None,
    with_score: Annotated[bool, typer.Option("--score", help="Compare the outputs with the labels.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most this many; else all.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """What the tasks of a plan brought, in the planner's order within each wave."""
    from chimera.models.work.task import TaskState

    if with_score and (state or limit):
        raise InvalidInput("--score is about all results: leave --state and --limit away")
    wanted = choice(TaskState, state, "--state")
    found: Iterator[TaskResult] = plan_handle(tenant, plan).results()
    if with_score:
        _show_score(score(found), output)
        return
    chosen = islice((result for result in found if wanted in {None, result.state}), limit)
    if output is Format.JSON:
        documents(map(result_json, chosen))
    else:
        _show(chosen)


def result_json(result: "TaskResult") -> dict[str, Any]:
    """A task with its output, or with why it has none."""
    from chimera.models.work.result import FailureOutcome

    outcome = result.outcome
    failed = outcome if isinstance(outcome, FailureOutcome) else None
    return {
        "task_id": format_id(IdKind.TASK, result.task_id),
        "ordinal": result.ordinal,
        "skill": result.skill,
        "state": result.state,
        "attempt": result.attempt,
        "output": getattr(outcome, "output", None),
        "confidence": getattr(outcome, "confidence", None),
        "label": result.label,
        "redacted": result.erased,
        "failure": {"code": failed.code, "message": failed.message} if failed else None,
    }


def _show(chosen: Iterable["TaskResult"]) -> None:
    # Line by line, with fixed columns: a hundred thousand results are never in memory at once.
    terminal = stdout().is_terminal
    form = _SHORT_ROW if terminal else _ROW
    width = stdout().width - len(form.format("", "", "", "")) if terminal else _OUTPUT_WIDTH
    if width < _LEAST_OUTPUT_WIDTH:
        form, width = form.replace("  {}", f"\n{_INDENT}{{}}"), stdout().width - len(_INDENT)
    shown = 0
    for result in chosen:
        if not shown:
            tell(form.format("TASK", "STATE", "CONF", "OUTPUT"))
        values = result_json(result)
        text = "redacted" if result.erased else values["failure"] or values["output"]
        tell(
            form.format(
                shown_ids(values["task_id"]),
                result.state,
                number(values["confidence"]),
                one_line(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False), width),
            ).rstrip()
        )
        shown += 1
    if not shown:
        say("no such results")


def _show_score(tallies: dict[str, Tally], output: Format) -> None:
    if output is Format.JSON:
        document({group: tally.as_json() for group, tally in tallies.items()})
        return
    rows = [
        [
            group.replace("_", " "),
            str(tally.tasks),
            str(tally.labelled),
            str(tally.right),
            "-" if tally.accuracy is None else f"{tally.accuracy:.1%}",
        ]
        for group, tally in tallies.items()
        if tally.tasks or group in {"committed", "in_review", ALL}
    ]
    table(["RESULTS", "TASKS", "LABELLED", "RIGHT", "ACCURACY"], rows)
    if not tallies[ALL].labelled:
        say("no task has a label: a planner sets it with .options(label={...})")
