"""`chimera tenant`: whom Chimera works for."""

import shlex
from typing import Annotated

import typer

from chimera.cli.context import Actor, actor, services, valid_tenant, valid_tenants
from chimera.cli.output import Format, Output, document, moment, say, table, tell

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


@app.command()
def credentials(
    tenant: Annotated[str, typer.Argument(metavar="ID", callback=valid_tenant, help="The tenant.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="End its logins.")] = False,
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Give a tenant logins of its own, which reach nothing of other tenants.

    Prints what stands in the environment of its workers (`celery -A chimera worker -Q tenant.ID`) and of its own
    services, once. From then on its plans are planned and run by these workers alone. Typed again it makes new
    passwords.
    """
    who, logins = actor(by), services().governing.logins
    if revoke:
        _show_revoked(tenant, logins.revoke(tenant, who), output)
        return
    given = logins.give(tenant, who)
    variables = {
        "CHIMERA_BOUND_TENANT": given.tenant_id,
        "CHIMERA_REDIS_URL": given.redis_url,
        "CHIMERA_APP_DATABASE_URL": given.app_database_url,
        "CHIMERA_WORKER_DATABASE_URL": given.worker_database_url,
        "CHIMERA_MESSAGE_KEY": given.message_key,
        "CHIMERA_ENV_FILE": "",
    }
    if output is Format.JSON:
        document(variables)
        return
    for name, value in variables.items():
        tell(f"{name}={shlex.quote(value)}")
    say("shown this once; these workers take the tenant's work from now on:")
    say(f"celery -A chimera worker -Q {given.queue}")


def _show_revoked(tenant: str, ended: list[str], output: Format) -> None:
    if output is Format.JSON:
        document({"tenant_id": tenant, "ended": ended})
    elif ended:
        tell(f"ended: {', '.join(ended)}")
    else:
        say(f"{tenant} has no logins of its own")
