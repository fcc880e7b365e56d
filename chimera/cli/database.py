"""`chimera db`: the schema."""

import typer

from chimera.cli.context import command, quiet_logs
from chimera.cli.output import Format, Output, document, say, tell

app = typer.Typer(help="Bring the database to the schema of this release.", no_args_is_help=True)


@app.command()
def upgrade(output: Output = Format.TABLE) -> None:
    """Run the missing migrations, and set the logins of the database roles."""
    from chimera import bootstrap

    quiet_logs()
    revision = bootstrap.migrations().upgrade(bootstrap.role_urls())
    if output is Format.JSON:
        document({"revision": revision})
    else:
        tell(f"the schema is at {revision}")


@app.command()
def check(output: Output = Format.TABLE) -> None:
    """Whether the schema is that of this release; exit code 1 if not."""
    from chimera import bootstrap

    quiet_logs()
    migrations = bootstrap.migrations()
    current, head = migrations.current(), migrations.head()
    if output is Format.JSON:
        document({"current": current, "head": head, "up_to_date": current == head})
    else:
        tell(f"the schema is at {current or 'nothing'}, and this release needs {head}")
    if current != head:
        say(f"next: {command('db', 'upgrade')}")
        raise typer.Exit(1)
