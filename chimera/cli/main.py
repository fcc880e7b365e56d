"""The entry point: the commands, and the one place where errors become messages and exit codes."""

import atexit
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from chimera.cli import agents, chaos, database, demo, init, quarantine, seal, session, state, tenant, version
from chimera.cli.audit import audit
from chimera.cli.budget import budget
from chimera.cli.context import as_typed, command
from chimera.cli.doctor import doctor
from chimera.cli.judge import judge
from chimera.cli.output import harmless_streams, say
from chimera.cli.plan import plan
from chimera.cli.policy import policy
from chimera.cli.review import review
from chimera.cli.skill import planner, skill
from chimera.cli.stack import stack
from chimera.cli.task import task
from chimera.errors import ChimeraError, QueueUnavailable, StoreUnavailable
from chimera.models.text.quoted_inputs import hide_inputs

# A command that ends need not look for garbage in all that it has loaded: it takes a fifth of a second.
atexit.register(gc.freeze)

INTERRUPTED = 130

# They start servers themselves, and say what to do where one that the environment names is away.
_STARTERS = {"up", "demo"}

_FIXES = {
    StoreUnavailable: ". Start it (`chimera up` starts one here), or set CHIMERA_..._DATABASE_URL to where it is",
    QueueUnavailable: ". Start it (`chimera up` starts one here), or set CHIMERA_REDIS_URL to where it is",
}

app = typer.Typer(
    help="Gated agent swarms on Celery: plans fan out to workers, and nothing commits before the Judge approves.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,  # plain help answers in half the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.add_typer(plan.app, name="plan")
app.add_typer(session.app, name="session")
app.add_typer(task.app, name="task")
app.add_typer(review.app, name="review")
app.add_typer(policy.app, name="policy")
app.add_typer(state.app, name="state")
app.add_typer(judge.app, name="judge")
app.add_typer(budget.app, name="budget")
app.add_typer(agents.app, name="agents")
app.add_typer(skill.app, name="skill")
app.add_typer(planner.app, name="planner")
app.add_typer(tenant.app, name="tenant")
app.add_typer(audit.app, name="audit")
app.add_typer(quarantine.app, name="quarantine")
app.command("seal")(seal.seal)
app.add_typer(chaos.app, name="chaos")
app.command("doctor")(doctor.doctor)
app.add_typer(database.app, name="db")
app.command("version")(version.version)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with harmless_streams():
        try:
            code = _run(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has seen enough; the interpreter shall not complain about it either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
    return code


@cache
def _commands() -> TyperGroup:
    """What Typer makes of the functions: it takes 20 ms, which a process with many command lines pays once."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def _run(arguments: list[str]) -> int:
    try:
        result = _commands().main(arguments, prog_name=command(), standalone_mode=False)
    except SystemExit as exc:
        # Typer makes one of a pipe that nobody reads any more.
        if isinstance(exc.__context__, BrokenPipeError):
            raise exc.__context__ from None
        raise
    except KeyboardInterrupt:
        result = INTERRUPTED
    except ChimeraError as exc:
        return failed(exc, arguments)
    except Exception as exc:  # noqa: BLE001  the last stop before the user
        return failed(exc, arguments)
    if result == INTERRUPTED:
        say("interrupted")
    return result if isinstance(result, int) else 0


def failed(exc: Exception, arguments: Sequence[str]) -> int:
    """Says what went wrong, on standard error; returns the exit code."""
    if type(exc).__name__ == "NoArgsIsHelpError":  # typer does not export it: its message is the help
        say(str(exc))
        return 2
    if os.environ.get("CHIMERA_DEBUG"):
        say(hide_inputs("".join(traceback.format_exception(exc)).rstrip("\n")))
    message, code = _explained(exc, arguments)
    message = hide_inputs(message)
    say(f"error: {message}")
    if wants_json(arguments):
        say(json.dumps({"error": message, "code": type(exc).__name__}))
    return code


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON, also where it is wrong otherwise."""
    words = [word.lower() for word in arguments]
    return bool({"--json", "-ojson", "--output=json"}.intersection(words)) or any(
        option in {"-o", "--output"} and value == "json" for option, value in pairwise(words)
    )


def _explained(exc: Exception, arguments: Sequence[str]) -> tuple[str, int]:
    if isinstance(exc, ChimeraError):
        fix = "" if _STARTERS.intersection(arguments[:1]) else _FIXES.get(type(exc), "")
        return as_typed(f"{exc}{fix}"), exc.exit_code
    if isinstance(exc, TyperException):
        context = getattr(exc, "ctx", None)
        where = f" ({context.command_path} --help says more)" if context else ""
        return exc.format_message().rstrip(".") + where, exc.exit_code
    hint = "" if os.environ.get("CHIMERA_DEBUG") else " (CHIMERA_DEBUG=1 shows where)"
    return f"unexpected {type(exc).__name__}: {exc}{hint}", 1


if __name__ == "__main__":
    sys.exit(main())
