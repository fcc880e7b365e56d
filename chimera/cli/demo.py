"""`chimera demo`: everything on this machine, with one command: a stack, a plan through it, and what it found."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import command, valid_tenant
from chimera.cli.output import Format, Output, document, facts, say, table, tell
from chimera.errors import ChimeraError, WaitTimeout

if TYPE_CHECKING:
    from chimera.cli.stack.background import BackgroundStack
    from chimera.client import PlanHandle
    from chimera.models.gate.review import ReviewCard
    from chimera.models.work.plan import Plan

PLANNER = "tickets"
SAMPLE = Path("examples", "tickets", "sample.csv")
SETTLED_WITHIN_SECONDS = 300.0
# What shells say of a program that SIGTERM ended.
TERMINATED = 143
_PAGE = 1000


class DemoIncomplete(ChimeraError):
    """Some task of the demo's plan has no decision."""


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, to look around.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; as -o json.")] = False,
    tenant: Annotated[
        str, typer.Option("--tenant", "-t", callback=valid_tenant, help="Whom the plan is for.")
    ] = "acme",
    output: Output = Format.TABLE,
) -> None:
    """Start the stack, run a sample plan, show what came of it.

    Everything runs on this machine, in a data folder of its own (CHIMERA_DATA), and ends with the command.
    """
    from importlib import import_module

    from chimera.cli.stack.background import BackgroundStack
    from chimera.cli.stack.process import StopAsked, ending_on_signals
    from chimera.cli.stack.project import shipped_project
    from chimera.cli.stack.stack import pin_data_dir, refuse_if_running

    pin_data_dir()
    refuse_if_running()
    project = shipped_project()
    _work_in(project.folder)
    say("starting")
    try:
        with ending_on_signals() as ending, BackgroundStack(project, [tenant], detached=keep) as stack:

            def look() -> None:
                ending.check()
                stack.check()

            import_module("chimera.bootstrap")  # takes a second or two, while the stack starts
            look()
            stack.await_ready()
            look()
            _run_plan(stack, look, tenant, Format.JSON if as_json else output, keep=keep)
    except StopAsked:
        raise typer.Exit(TERMINATED) from None


def _work_in(project: Path) -> None:
    """Makes this process find the project's celeryconfig and examples, as the stack's processes do."""
    os.environ.pop("CELERY_CONFIG_MODULE", None)
    os.chdir(project)
    sys.path.insert(0, str(project))


def _run_plan(stack: "BackgroundStack", look: Callable[[], None], tenant: str, output: Format, *, keep: bool) -> None:
    from chimera.cli.context import load_user_code, services
    from chimera.cli.plan.input_file import read_inputs
    from chimera.cli.plan.progress import follow
    from chimera.client import Chimera
    from chimera.settings import settings

    load_user_code()
    inputs = read_inputs(str(SAMPLE), settings().max_inputs_bytes)
    handle = Chimera(services()).submit(
        PLANNER, tenant=tenant, goal="sort the customers' messages, and draft replies", inputs=inputs
    )
    say(f"plan {handle.id}: {len(inputs['rows'])} messages of {SAMPLE}, for tenant {tenant}")
    try:
        plan, seconds = follow(handle, SETTLED_WITHIN_SECONDS, meanwhile=look)
    except WaitTimeout as exc:
        raise WaitTimeout(f"{exc}; what its processes say is in {stack.ready['log_dir']}") from exc
    if output is Format.JSON:
        document(_numbers(handle, plan, seconds))
    else:
        _show(stack, handle, plan, seconds, keep=keep)
    if plan.counts.open or plan.counts.tasks != len(inputs["rows"]):
        raise DemoIncomplete(f"{plan.counts.gated} of {len(inputs['rows'])} tasks have a decision")


def _numbers(handle: "PlanHandle", plan: "Plan", seconds: float) -> dict[str, Any]:
    return {
        "plan_id": handle.id,
        "tasks": plan.counts.tasks,
        "committed": plan.counts.committed,
        "in_review": plan.counts.in_review,
        "denied": plan.counts.denied,
        "failed": plan.counts.failed,
        "audit_entries": _audit_entries(plan),
        "elapsed_seconds": round(seconds, 3),
        "tasks_per_second": round(plan.counts.tasks / seconds, 1),
    }


def _audit_entries(plan: "Plan") -> int:
    from chimera.cli.context import services

    count, after = 0, plan.first_audit_seq - 1
    while entries := services().adapters.plans.entries(plan.tenant_id, plan.plan_id, after, _PAGE):
        count, after = count + len(entries), entries[-1].seq
    return count


def _show(stack: "BackgroundStack", handle: "PlanHandle", plan: "Plan", seconds: float, *, keep: bool) -> None:
    numbers = _numbers(handle, plan, seconds)
    tell("")
    facts(
        [
            ("plan", f"{handle.id}  {plan.state}"),
            ("tasks", f"{numbers['tasks']}, all with a decision" if not plan.counts.open else str(numbers["tasks"])),
            ("committed", f"{numbers['committed']}  approved by the gate"),
            ("in review", f"{numbers['in_review']}  a person decides"),
            ("denied", str(numbers["denied"])),
            ("failed", str(numbers["failed"])),
            ("audit", f"{numbers['audit_entries']} entries"),
            ("took", f"{seconds:.1f} s, {numbers['tasks_per_second']:.0f} tasks/s"),
        ]
    )
    _show_reasons(handle.reviews())
    _show_next(stack, handle, keep=keep)


def _show_reasons(cards: list["ReviewCard"]) -> None:
    from chimera.cli.text import one_line

    counts = Counter(reason.rule for card in cards for reason in card.reasons)
    if not counts:
        return
    examples: dict[str, str] = {}
    for card in cards:
        for reason in card.reasons:
            examples.setdefault(reason.rule, f"{reason}: {one_line(_text(card), 60)}")
    tell("")
    tell(f"Why people are asked about {len(cards)} of them:")
    table(
        ["CARDS", "RULE", "FOR EXAMPLE"], [[str(count), rule, examples[rule]] for rule, count in counts.most_common()]
    )


def _text(card: "ReviewCard") -> str:
    import json

    return str(json.loads(card.input or "{}").get("text", ""))


def _show_next(stack: "BackgroundStack", handle: "PlanHandle", *, keep: bool) -> None:
    from chimera.cli.stack.stack import flower_login

    to_tenant = ("--tenant", handle.tenant_id)
    lines = [
        (command("review", "list", *to_tenant), "what waits for people"),
        (command("plan", "results", handle.id, *to_tenant, "--score"), "how right it was"),
        (command("audit", "list", *to_tenant), "who decided what"),
    ]
    if keep:
        tell("")
        tell(f"It goes on running. Flower: {stack.ready['flower_url']}  ({flower_login(stack.ready)})")
        lines.append((command("down"), "ends it; the data stays"))
    else:
        tell("")
        tell(f"Flower ran at {stack.ready['flower_url']}; everything stops now, and the data stays.")
        lines.insert(0, (command("up", "--detach"), "starts it again; or --keep leaves the demo running"))
    tell("Next:")
    if os.environ.get("CHIMERA_DATA"):
        lines.insert(0, (f"export CHIMERA_DATA={os.environ['CHIMERA_DATA']}", "in another shell"))
    width = max(len(text) for text, _ in lines)
    for text, meaning in lines:
        tell(f"  {text:<{width}}  # {meaning}")
