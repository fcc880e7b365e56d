"""`chimera tenant`: whom Chimera works for."""

import shlex
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

import typer

from chimera.cli.context import Actor, actor, services, valid_tenant, valid_tenants
from chimera.cli.output import Format, Output, document, moment, say, table, tell
from chimera.errors import InvalidInput

app = typer.Typer(help="Add and list tenants: those that Chimera works for.", no_args_is_help=True)

_BYTES = 24


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
    import secrets
    from hashlib import sha256

    from chimera.adapters.celery.signer import Signer
    from chimera.models.work.bound import broker_user
    from chimera.settings import settings

    who, adapters = actor(by), services().adapters
    if revoke:
        ended = adapters.credentials.revoke(tenant, who)
        adapters.queue.keep_bound(adapters.credentials.bound_tenants())
        _show_revoked(tenant, ended, output)
        return
    given = settings()
    redis_url = given.require("redis_url")
    owner_url = given.require("owner_database_url")
    if ";" in redis_url or not redis_url.startswith(("redis://", "rediss://")):
        raise InvalidInput("a tenant's own login at the broker needs a CHIMERA_REDIS_URL of one server, redis://...")
    passwords = {kind: secrets.token_hex(_BYTES) for kind in ("app", "worker", "broker")}
    broker_sha256 = sha256(passwords["broker"].encode()).hexdigest()
    roles = adapters.credentials.make(
        tenant, {"app": passwords["app"], "worker": passwords["worker"]}, broker_sha256, who
    )
    adapters.agents.let_in()
    adapters.queue.keep_bound(adapters.credentials.bound_tenants())
    variables = {
        "CHIMERA_BOUND_TENANT": tenant,
        "CHIMERA_REDIS_URL": _as_login(redis_url, broker_user(tenant), passwords["broker"]),
        "CHIMERA_APP_DATABASE_URL": _as_login(owner_url, roles["app"], passwords["app"]),
        "CHIMERA_WORKER_DATABASE_URL": _as_login(owner_url, roles["worker"], passwords["worker"]),
        # Of the keys of messages that of the tenant's own list.
        "CHIMERA_MESSAGE_KEY": ",".join(key.hex() for key in Signer(given.message_keys).keys_of(broker_user(tenant))),
        "CHIMERA_ENV_FILE": "",
    }
    if output is Format.JSON:
        document(variables)
        return
    for name, value in variables.items():
        tell(f"{name}={shlex.quote(value)}")
    say("shown this once; these workers take the tenant's work from now on:")
    say(f"celery -A chimera worker -Q {broker_user(tenant)}")


def _show_revoked(tenant: str, ended: list[str], output: Format) -> None:
    if output is Format.JSON:
        document({"tenant_id": tenant, "ended": ended})
    elif ended:
        tell(f"ended: {', '.join(ended)}")
    else:
        say(f"{tenant} has no logins of its own")


def _as_login(url: str, user: str, password: str) -> str:
    """The same server and database, for another login."""
    if "://" not in url:
        return f"{url} user='{user}' password='{password}'"  # the later one of two counts
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{address}"))
