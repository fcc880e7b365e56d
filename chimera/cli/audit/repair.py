"""`chimera audit repair`: an audit that does not go on goes on, with what is wrong with it on record."""

from typing import Annotated

import typer

from chimera.cli.context import Actor, Tenant, actor, services
from chimera.cli.output import Format, Output, document, say, table
from chimera.errors import InvalidInput

_LONGEST_REASON = 500  # characters


def repair(
    tenant: Tenant,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    by: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Put on record what is wrong with a tenant's audit, and have it go on behind its last entry.

    For an audit to which nothing can be added, or that nothing seals any more: a head that is not its chain's end, an
    entry with a wrong hash, text or time. Nothing is deleted or rewritten: `audit verify` shows what was found, and
    accepts no more than that. Needs CHIMERA_OWNER_DATABASE_URL.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= _LONGEST_REASON:
        raise InvalidInput(f"--reason: 1 to {_LONGEST_REASON} characters")
    repaired = services().adapters.repairs.repair(tenant, actor(by), reason)
    if output is Format.JSON:
        document(repaired.model_dump(mode="json"))
        return
    if repaired.nothing:
        say(f"nothing is wrong with the audit of {tenant}")
        return
    table(["SEQ", "WHAT"], [[str(row.seq), row.what] for row in repaired.rows])
    if repaired.found != repaired.ends:
        say(f"its end was said to be entry {repaired.found.seq}, and is entry {repaired.ends.seq}")
    say(f"entry {repaired.ends.seq + 1} says so; what comes next follows it")
