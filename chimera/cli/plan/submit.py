"""`chimera plan submit`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chimera.cli.context import Tenant, command, load_user_code, services
from chimera.cli.output import Format, Output, document, say, tell
from chimera.cli.plan.input_file import parse_set, read_inputs, rename_columns
from chimera.cli.plan.view import Timeout, end_with, next_step, plan_json, show_plan
from chimera.errors import InvalidInput

if TYPE_CHECKING:
    from chimera.client import PlanHandle

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def submit(
    planner: Annotated[str, typer.Argument(metavar="PLANNER", help="The planner's name.")],
    tenant: Tenant,
    *,
    goal: Annotated[str, typer.Option("--goal", help="In words, for the planner and for people.")] = "",
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="The planner's rows (.csv, .jsonl), or all of its inputs (.json); - reads JSON Lines.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One more input; JSON, or else text. May be repeated."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="Idempotency key: the same request again returns the first plan."),
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", min=0, max=100, help="Higher goes first within the tenant.")
    ] = 50,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="WHEN", help="2026-11-20T18:00Z, or +30m (s, m, h, d)."),
    ] = None,
    session: Annotated[str | None, typer.Option("--session", help="Groups plans.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="NAME=COLUMN",
            help="The planner's column NAME is the file's COLUMN: --column text=body. May be repeated.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it is settled.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Plan it here, store nothing, and show what it would set aside of the budget."),
    ] = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Submit a plan. It is stored when this returns, and runs on when this shell ends."""
    if dry_run and watch:
        raise InvalidInput("--dry-run submits nothing that could be watched: leave --watch out")
    if timeout is not None and not watch:
        raise InvalidInput("--timeout is for --watch")
    until = parse_deadline(deadline, datetime.now(UTC)) if deadline else None
    inputs = _inputs(source, settings or [], columns or [])
    load_user_code()
    from chimera.client import Chimera, plan_request

    request: dict[str, Any] = {
        "goal": goal,
        "inputs": inputs,
        "session_id": session,
        "deadline": until,
        "priority": priority,
        "idempotency_key": key,
    }
    if dry_run:
        from chimera.cli.budget.view import show_estimate

        with _naming_columns(columns or []):
            services().submitting.orchestrator.check(
                plan_request(tenant_id=tenant, planner=planner, trace_id="dry-run", **request)
            )
        show_estimate(tenant, *services().governing.budgets.estimate(tenant, planner, goal, inputs), output)
        return
    with _naming_columns(columns or []):
        handle = Chimera(services()).submit(planner, tenant=tenant, **request)
    if output is Format.TABLE:
        tell(f"{handle.id}  {'submitted' if handle.created else f'already submitted (key {key})'}")
        if handle.created and inputs.get("rows") == []:
            say("no rows: the plan completes at once")
        if session is not None and handle.plan.paused:
            resume = command("session", "resume", session, "--tenant", tenant)
            say(f"session {session} is paused, the plan waits: {resume}")
    if watch:
        _watch(handle, timeout, output)
    elif output is Format.JSON:
        document({"plan_id": handle.id, "tenant_id": tenant, "created": handle.created})
    else:
        say(f"next: {command('plan', 'watch', handle.id, '--tenant', tenant)}")


@contextmanager
def _naming_columns(pairs: Sequence[str]) -> Iterator[None]:
    """Where the inputs are refused, says which of the columns that it names have other names in the file."""
    try:
        yield
    except InvalidInput as exc:
        split = (pair.partition("=") for pair in pairs)
        named = [f"{name!r} is the file's {column!r}" for name, _, column in split if name in str(exc)]
        if not named:
            raise
        raise InvalidInput(f"{exc} ({', '.join(named)})") from exc


def parse_deadline(text: str, now: datetime) -> datetime:
    """The time that `+30m` or an ISO 8601 time with its zone names.

    Raises:
        InvalidInput: it names none.
    """
    if relative := re.fullmatch(r"\+(\d{1,6})([smhd])", text):
        return now + timedelta(**{_UNITS[relative[2]]: int(relative[1])})
    try:
        deadline = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"--deadline {text}: it must be like 2026-11-20T18:00Z or +30m") from None
    if deadline.tzinfo is None:
        raise InvalidInput(f"--deadline {text}: it needs a time zone, as in {text}Z or {text}+01:00")
    return deadline


def _inputs(source: str | None, pairs: list[str], columns: list[str]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    if columns and source is None:
        raise InvalidInput("--column is for the rows of --input FILE")
    if source is not None:
        from chimera.settings import settings

        inputs = rename_columns(read_inputs(source, settings().max_inputs_bytes), columns)
    more = parse_set(pairs)
    if twice := sorted(inputs.keys() & more.keys()):
        raise InvalidInput(f"--set {twice[0]}: {source} has it already")
    return inputs | more


def _watch(handle: "PlanHandle", timeout: float | None, output: Format) -> None:
    from chimera.cli.plan.progress import follow

    ended, _ = follow(handle, timeout, quiet=output is Format.JSON)
    if output is Format.JSON:
        document({"created": handle.created, **plan_json(ended)})
    else:
        show_plan(ended)
        next_step(ended)
    end_with(ended)
