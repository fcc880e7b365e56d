"""`chimera task`: tasks one by one: which there are, what became of one, and trying it again."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from chimera.cli.context import Actor, Tenant, actor, choice, command, find_id, plan_handle, require_tenant, services
from chimera.cli.output import Format, Limit, Output, document, say, table, tell
from chimera.cli.plan.control import show_retried
from chimera.cli.plan.submit import parse_deadline
from chimera.cli.task.view import history_json, next_step, show_history, standing_json, standing_row
from chimera.models.ids import IdKind, format_id

app = typer.Typer(help="See what became of a task, and try it again.", no_args_is_help=True)

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="A task's id, whole or short: tk_...")]


@app.command("list")
def list_tasks(
    tenant: Tenant,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only tasks of this plan.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only tasks in this state: running, exhausted, denied, ...")
    ] = None,
    skill: Annotated[str | None, typer.Option("--skill", help="Only tasks of this skill.")] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="TASK", help="Only those behind this one: the next page.")
    ] = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Tasks, those of the latest plan first, each plan's in its order."""
    from chimera.models.work.task import TaskState

    wanted = choice(TaskState, state, "--state")
    tasks = services().adapters.tasks.list_tasks(
        tenant,
        plan_id=plan_handle(tenant, plan).plan_id if plan else None,
        state=wanted,
        skill=skill,
        after=find_id(tenant, IdKind.TASK, after) if after else None,
        limit=limit,
    )
    if not tasks:
        require_tenant(tenant)
    if output is Format.JSON:
        document([standing_json(task) for task in tasks])
        return
    if not tasks:
        say(f"no such tasks of {tenant}")
        return
    table(["TASK", "PLAN", "SKILL", "STATE", "ATTEMPT", "AGE", "TOOK"], map(standing_row, tasks))
    if len(tasks) == limit:
        given = (("--plan", plan), ("--state", state), ("--skill", skill))
        options = [word for name, value in given if value for word in (name, value)]
        last = format_id(IdKind.TASK, tasks[-1].task_id)
        say(f"the first {limit}; more: {command('task', 'list', '--tenant', tenant, *options, '--after', last)}")


@app.command()
def show(task: TaskId, tenant: Tenant, output: Output = Format.TABLE) -> None:
    """What became of a task: attempts, agents, decisions with what each rule saw, people, commit, in order of time."""
    from chimera.cli.skill.waits import plan_waits, wait_json, wait_told

    found = services().adapters.tasks.history(tenant, find_id(tenant, IdKind.TASK, task))
    waits = plan_waits(tenant, found.plan_id) if found.state == "queued" else []
    waiting = [wait for wait in waits if wait[0].skill == found.skill]
    if output is Format.JSON:
        document(history_json(found) | {"waiting": [wait_json(*wait) for wait in waiting]})
        return
    show_history(found)
    for wait in waiting:
        tell(f"of its plan {wait_told(*wait)}")
    next_step(found)


@app.command()
def retry(
    task: TaskId,
    tenant: Tenant,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="WHEN", help="Of the new plan: 2026-11-20T18:00Z, or +30m (s, m, h, d)."),
    ] = None,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Try a task again that did not come to a good end: a new plan of that one. The same twice is the same plan."""
    who = actor(by)
    until = parse_deadline(deadline, datetime.now(UTC)) if deadline else None
    history = services().adapters.tasks.history(tenant, find_id(tenant, IdKind.TASK, task))
    retried = services().submitting.control.retry_task(history, who, until)
    show_retried([retried], output)
    if output is Format.TABLE:
        new = format_id(IdKind.PLAN, retried.plan_id)
        say(f"next: {command('plan', 'watch', new, '--tenant', tenant)}")
