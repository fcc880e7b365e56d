"""`chimera audit key`: the keys that sign the audit's checkpoints."""

from typing import TYPE_CHECKING, Annotated

import typer

from chimera.cli.context import quiet_logs
from chimera.cli.output import Format, Output, document, moment, say, table

if TYPE_CHECKING:
    from chimera.adapters.files.key_ring import KeyRing
    from chimera.models.audit.trust import TrustedKey

app = typer.Typer(help="Make, list and replace the keys that sign the audit's checkpoints.", no_args_is_help=True)


@app.command()
def new(output: Output = Format.TABLE) -> None:
    """Make the first key, in the folder that CHIMERA_AUDIT_KEYS names."""
    made = _ring().create()
    _show([made], output)
    say(f"note its id, {made.key_id}, where who writes to this machine cannot: who verifies an export has to know it")


@app.command("list")
def list_keys(output: Output = Format.TABLE) -> None:
    """The keys, oldest first: the present one and those that are retired."""
    _show(_ring().trusted(), output)


@app.command()
def rotate(
    lost: Annotated[
        bool,
        typer.Option("--lost", help="The present private key is lost, or in wrong hands: the new one stands alone."),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Replace the key: the present one announces the new one by its signature, and is retired at once."""
    made = _ring().rotate(lost=lost)
    _show([made], output)
    alone = "no key announces it: " if lost else ""
    say(f"{alone}note its id, {made.key_id}: who verifies an export from now on has to know it")


def _ring() -> "KeyRing":
    from chimera.adapters.files.key_ring import KeyRing
    from chimera.adapters.system_clock import SystemClock
    from chimera.settings import settings

    quiet_logs()
    return KeyRing(settings().audit_keys, SystemClock())


def _show(keys: "list[TrustedKey] | tuple[TrustedKey, ...]", output: Format) -> None:
    if output is Format.JSON:
        document([key.model_dump(mode="json") for key in keys])
        return
    rows = [
        [
            key.key_id,
            moment(key.created_at),
            moment(key.retired_at) or "signs",
            key.announced.by if key.announced else "-",
            key.public_key,
        ]
        for key in keys
    ]
    table(["KEY", "SINCE", "UNTIL", "ANNOUNCED BY", "PUBLIC KEY"], rows)
