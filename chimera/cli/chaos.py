"""`chimera chaos`: random faults against a swarm of its own, and what they did to it."""

import logging
import random
from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import quiet_logs
from chimera.cli.output import Format, Output, document, facts, say, table

if TYPE_CHECKING:
    from chimera.chaos.report import Report
    from chimera.chaos.run import Options

app = typer.Typer(help="Inject random faults into a swarm of its own, and check what it did.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `run` a command of its own."""


@app.command()
def run(
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long faults are injected.")] = 120,
    seed: Annotated[int | None, typer.Option("--seed", help="Draws plans and faults; a random one without it.")] = None,
    faults_per_minute: Annotated[
        float, typer.Option("--faults-per-minute", min=0.1, help="In the storm, where faults overlap.")
    ] = 40,
    storm: Annotated[float, typer.Option("--storm", min=0, max=1, help="The share of the time that is a storm.")] = 0.4,
    settle: Annotated[float, typer.Option("--settle", min=1, help="Seconds that open plans get at the end.")] = 60,
    plans_per_second: Annotated[float, typer.Option("--plans-per-second", min=0.01)] = 2,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind of fault. May be repeated.")
    ] = None,
    baseline: Annotated[bool, typer.Option("--baseline", help="Bare Celery chords instead of Chimera.")] = False,
    without: Annotated[
        str | None, typer.Option("--without", help="Take a guard away: fence, decision, sweep or epoch.")
    ] = None,
    strict_recovery: Annotated[
        bool, typer.Option("--strict-recovery", help="Fail as well where a time to recover is over its limit.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Run plans on a swarm of its own while processes, servers, messages and links fail at random.

    Ends with 1 unless nothing was lost, done twice or left unfinished.
    """
    from chimera.chaos.mutations import Guard
    from chimera.chaos.run import Options
    from chimera.chaos.run import run as run_swarm
    from chimera.cli.context import choice

    quiet_logs()
    # That PostgreSQL goes away is what happens here.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    options = Options(
        seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
        seconds=seconds,
        storm=storm,
        faults_per_minute=faults_per_minute,
        settle_seconds=settle,
        plans_per_second=plans_per_second,
        only=tuple(kinds or ()),
        without=choice(Guard, without, "--without"),
    )
    say(f"seed {options.seed}")
    if baseline:
        _run_baseline(options, output)
        return
    report = run_swarm(options, say)
    if output is Format.JSON:
        document(report.model_dump(mode="json"))
    else:
        _show(report)
    if not report.holds or (strict_recovery and report.over_limit):
        raise typer.Exit(1)


def _run_baseline(options: "Options", output: Format) -> None:
    """Prints what the same faults do to bare Celery, and ends with 0: a comparison is no check."""
    from chimera.chaos.baseline_run import run_baseline

    report = run_baseline(options, say)
    if output is Format.JSON:
        document(report.model_dump(mode="json"))
        return
    table(["FAULT", "INJECTED"], [[kind, str(count)] for kind, count in report.faults.items()])
    shown = ("plans", "tasks", "bodies", "lost", "duplicated", "tasks_run_again", "tasks_never_run", "seed")
    facts([(name.replace("_", " "), str(getattr(report, name))) for name in shown])
    if report.skipped:
        say(f"bare Celery has neither PostgreSQL nor beat; not injected: {', '.join(report.skipped)}")


def _show(report: "Report") -> None:
    rows = [
        [
            kind,
            str(count),
            str(report.recoveries.get(kind, 0)),
            _seconds(report.median_recovery_seconds.get(kind)),
            _seconds(report.max_recovery_seconds.get(kind)),
            _seconds(report.limit_seconds.get(kind)),
        ]
        for kind, count in report.faults.items()
    ]
    table(["FAULT", "INJECTED", "MEASURED", "MEDIAN s", "WORST s", "LIMIT s"], rows)
    facts(
        [
            ("faults", str(report.faults_injected)),
            ("plans", str(report.plans)),
            ("tasks", str(report.tasks)),
            ("lost", str(report.lost)),
            ("duplicated", str(report.duplicated)),
            ("unfinished", str(report.unfinished_plans)),
            ("broken", str(report.broken)),
            ("left in Redis", ", ".join(f"{name} {count}" for name, count in report.leftovers.items() if count)),
            ("seed", str(report.seed)),
        ]
    )
    for broken in report.violations:
        say(f"{broken.harm}: {broken.sentence} Not so {broken.count} times ({broken.invariant}):")
        for example in broken.examples:
            say(f"  {example}")
    for told in report.unexpected[:5]:
        say(f"a client was told {told}")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
