"""`chimera db`: the schema."""

from typing import Annotated

import typer

from chimera.cli.context import command, quiet_logs
from chimera.cli.output import Format, Output, document, say, tell

app = typer.Typer(help="Bring the database to the schema of this release.", no_args_is_help=True)


@app.command()
def upgrade(
    print_roles_sql: Annotated[
        bool,
        typer.Option("--print-roles-sql", help="Only print what makes the roles, for who may where the owner may not."),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Run the missing migrations, and set the logins of the database roles.

    The owner needs CREATEROLE for the roles; where it has none, --print-roles-sql prints statements for somebody else.
    """
    from chimera import bootstrap

    quiet_logs()
    if print_roles_sql:
        roles = bootstrap.migrations().roles_sql(bootstrap.role_urls())
        document({"sql": roles}) if output is Format.JSON else tell(roles.rstrip("\n"))
        return
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
