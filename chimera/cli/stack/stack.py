"""`chimera up` and `chimera down`: a whole stack on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from chimera.cli.context import command, quiet_logs, valid_tenants
from chimera.cli.output import Format, Output, document, facts, say, say_step, tell
from chimera.cli.stack.process import Child, StackProcess, StopAsked
from chimera.cli.stack.project import Project, find_project


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready; it goes on.")] = False,
    procfile: Annotated[
        Path | None,
        typer.Option("--procfile", metavar="FILE", help="Which processes; they run in its folder."),
    ] = None,
    tenants: Annotated[
        list[str] | None,
        typer.Option("--tenant", "-t", callback=valid_tenants, help="Add this tenant. May be repeated."),
    ] = None,
    output: Output = Format.TABLE,
    child: Annotated[Child | None, typer.Option("--child", hidden=True)] = None,
) -> None:
    """Run the whole stack on this machine.

    Starts PostgreSQL and Valkey, as far as CHIMERA_OWNER_DATABASE_URL and CHIMERA_REDIS_URL name no others,
    brings the schema up to date, and runs the processes of the Procfile: that of the working folder, else the
    one that Chimera ships. They run the working folder's celeryconfig.py; where it has none, the shipped
    examples. Without --detach it runs until Ctrl-C or SIGTERM.
    """
    pin_data_dir()
    if child is not None:
        assert procfile is not None
        _as_child(Project(procfile=procfile, folder=Path.cwd()), tenants or [], child)
        return
    project = find_project(procfile)
    if procfile is None and project.folder != Path.cwd():
        say(f"no celeryconfig.py here: this runs Chimera's examples; `{command('init')}` makes a project of your own")
    if detach:
        from chimera.cli.stack.background import BackgroundStack

        refuse_if_running()
        with BackgroundStack(project, tenants or [], detached=True) as stack:
            stack.await_ready()
        _show(stack.ready, output)
        say(f"{command('down')} ends it")
    else:
        _in_foreground(project, tenants or [], output)


def down(
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long its tasks may take to finish.")
    ] = 90,
    output: Output = Format.TABLE,
) -> None:
    """End the stack on this machine; its data stays."""
    from chimera.adapters.embedded import stop_stack
    from chimera.settings import data_dir

    stopped = stop_stack(timeout_seconds=timeout)
    if output is Format.JSON:
        document({"stopped": stopped, "data_dir": str(data_dir())})
    elif stopped:
        tell("stopped")
    else:
        say(f"no stack runs on {data_dir()}")


def pin_data_dir() -> None:
    """Makes the data folder an absolute path: child processes run in other folders."""
    from chimera.settings import data_dir

    if "CHIMERA_DATA" in os.environ:
        os.environ["CHIMERA_DATA"] = str(data_dir())


def _in_foreground(project: Project, tenants: list[str], output: Format) -> None:
    quiet_logs()
    os.chdir(project.folder)  # this process asks the workers, and needs their celeryconfig for that

    def ready(facts_: dict[str, Any]) -> None:
        _show(facts_, output)
        sys.stdout.flush()
        say("Ctrl-C ends it")

    stack = StackProcess(project, tenants, step=say_step, ready=ready)
    try:
        stack.run()
    except StopAsked:
        return
    finally:
        if stack.has_started:
            say("stopped")


def _as_child(project: Project, tenants: list[str], child: Child) -> None:
    from chimera.cli.stack.background import run_as_child

    run_as_child(project, tenants, lifeline=sys.stdin if child is Child.ATTACHED else None)


def flower_login(ready: dict[str, Any]) -> str:
    """Where Flower's user and password stand."""
    return f"user:password is CHIMERA_FLOWER_BASIC_AUTH in {ready['env_file']}"


def _show(ready: dict[str, Any], output: Format) -> None:
    if output is Format.JSON:
        document(ready)
        return
    facts(
        [
            ("stack", f"process {ready['pid']}, data in {ready['data_dir']}"),
            ("processes", ", ".join(ready["processes"])),
            ("tenants", ", ".join(ready["tenants"])),
            ("Flower", f"{ready['flower_url']}  ({flower_login(ready)})" if ready["flower_url"] else ""),
            ("settings", f"{ready['env_file']} (commands in other shells of this user read it)"),
            ("logs", str(ready["log_dir"])),
        ]
    )
    tenant = ready["tenants"][0] if ready["tenants"] else "TENANT"
    if tenant == "TENANT":
        say(f"next: {command('tenant', 'add', tenant)}")
    say(f"next: {command('plan', 'submit', 'PLANNER', '--tenant', tenant, '--input', 'FILE')}")


def refuse_if_running() -> None:
    """Refuses to start a second stack on the data folder.

    Raises:
        StackAlreadyRunning: one runs.
    """
    from chimera.adapters.embedded import running_stack
    from chimera.errors import StackAlreadyRunning

    if stack := running_stack():
        raise StackAlreadyRunning(
            f"a Chimera stack runs on {stack.data_dir} already (process {stack.pid}). Use it "
            f"(`{command('plan', 'list', '--tenant')} ...`), end it with `{command('down')}`, or set CHIMERA_DATA "
            "to another folder for a second one"
        )
