"""`chimera tenant`: whom Chimera works for."""

from typing import Annotated

import typer

from chimera.cli.context import Actor, actor, services, valid_tenants
from chimera.cli.output import Format, Output, document, moment, say, table

app = typer.Typer(help="Add and list tenants: those that Chimera works for.", no_args_is_help=True)


@app.command()
def add(
    tenants: Annotated[list[str], typer.Argument(metavar="ID...", callback=valid_tenants, help="a-z, 0-9, _ and -.")],
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Add tenants; one that is there already stays as it is."""
    who, store = actor(by), services().adapters.tenants
    added = [(tenant, store.add(tenant, who)) for tenant in tenants]
    if output is Format.JSON:
        document([{"tenant_id": tenant, "added": new} for tenant, new in added])
        return
    table(["TENANT", ""], [[tenant, "added" if new else "was there already"] for tenant, new in added])


@app.command("list")
def list_tenants(
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most this many; else all.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """The tenants, by id."""
    tenants = services().adapters.tenants.list_tenants()[:limit]
    if output is Format.JSON:
        document([tenant.model_dump(mode="json") for tenant in tenants])
        return
    if not tenants:
        say("no tenants")
        return
    table(["TENANT", "SINCE"], [[tenant.tenant_id, moment(tenant.created_at)] for tenant in tenants])
