"""Following a plan: a progress bar on a terminal, else a line of numbers now and then; all on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from chimera.cli.context import command
from chimera.cli.output import say, stderr

if TYPE_CHECKING:
    from chimera.client import PlanHandle
    from chimera.models.work.plan import Plan, PlanCounts

_LINE_EVERY_SECONDS = 1.0

Show = Callable[["Plan", float], None]


def follow(
    handle: "PlanHandle",
    timeout: float | None = None,
    *,
    quiet: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple["Plan", float]:
    """Shows a plan's progress until it is settled; returns the plan and the seconds that took.

    Args:
        handle: the plan.
        timeout: seconds; None waits as long as it takes.
        quiet: shows nothing.
        meanwhile: called with every look at the plan.

    Raises:
        WaitTimeout: it did not get there in time.
        KeyboardInterrupt: the user has seen enough; the plan goes on.
    """
    from chimera.errors import WaitTimeout

    began = monotonic()
    try:
        with _silence() if quiet else _bar() if stderr().is_terminal else _lines() as show:
            for plan in handle.progress(timeout):
                took = monotonic() - began
                show(plan, took)
                meanwhile()
    except WaitTimeout as exc:
        why = command("plan", "show", handle.id, "--tenant", handle.tenant_id)
        raise WaitTimeout(f"{exc}; what it waits for: {why}") from None
    except KeyboardInterrupt:
        say(f"the plan goes on: {command('plan', 'watch', handle.id, '--tenant', handle.tenant_id)}")
        raise
    return plan, took


def numbers(counts: "PlanCounts") -> str:
    """`300 committed, 118 in review, 0 denied, 2 failed`."""
    return f"{counts.committed} committed, {counts.in_review} in review, {counts.denied} denied, {counts.failed} failed"


@contextmanager
def _silence() -> Iterator[Show]:
    def show(_plan: "Plan", _took: float) -> None:
        pass

    yield show


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    first: list[int] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
        console=stderr(),
    ) as progress:
        bar = progress.add_task("submitted", total=None, numbers="")

        def show(plan: "Plan", took: float) -> None:
            counts = plan.counts
            first.append(counts.gated) if not first else None
            rate = f"  {(counts.gated - first[0]) / took:.0f}/s" if took > 0.2 else ""
            progress.update(
                bar,
                description=plan.standing,
                total=counts.tasks or None,
                completed=counts.gated,
                numbers=numbers(counts) + rate,
            )

        yield show


@contextmanager
def _lines() -> Iterator[Show]:
    said = 0.0
    last = ""

    def show(plan: "Plan", took: float) -> None:
        nonlocal said, last
        text = f"{plan.standing}: {plan.counts.gated}/{plan.counts.tasks} ({numbers(plan.counts)})"
        if text != last and took - said >= _LINE_EVERY_SECONDS:
            said, last = took, text
            say(f"{took:6.1f} s  {text}")

    yield show
