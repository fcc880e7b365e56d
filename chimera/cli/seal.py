"""`chimera seal`: the process that seals the audit, the only one with the key that signs checkpoints."""

import os
import select
import signal
from collections.abc import Callable
from typing import Annotated

import typer

from chimera.cli.output import Format, Output, document, say, tell


def seal(
    once: Annotated[bool, typer.Option("--once", help="Seal what is due, and end; exit code 1 where that fails.")] = (
        False
    ),
    make_key: Annotated[bool, typer.Option("--make-key", help="Make the first key where there is none yet.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Seal every tenant's audit by signed checkpoints, until SIGTERM or Ctrl-C.

    It needs CHIMERA_SEAL_DATABASE_URL, CHIMERA_CHECKPOINTS and CHIMERA_AUDIT_KEYS, and should be the only process that
    has them. Where CHIMERA_CHECKPOINTS names no place it says so, and waits. Several at once do no harm.
    """
    from chimera import bootstrap, logs
    from chimera.settings import settings

    logs.configure("INFO")
    ended = (lambda _: True) if once else _ended_by_signals()
    if not settings().checkpoint_places:
        say("CHIMERA_CHECKPOINTS names no place to keep checkpoints: nothing is sealed")
        ended(None)
        return
    ring = bootstrap.auditing().key_ring
    if make_key and not ring.exists():
        say(f"made the key {ring.create().key_id}: note its id, who verifies an export has to know it")
    if not once:
        bootstrap.auditing().sealer.run(ended)
        return
    made = bootstrap.auditing().checkpointer.run()
    if output is Format.JSON:
        document({"checkpoints": made})
    else:
        tell(f"{made} checkpoints made")


def _ended_by_signals() -> Callable[[float | None], bool]:
    """Lets SIGTERM and SIGINT end this process; returns what waits so many seconds for them, and says if one came."""
    # A pipe that is never read: what has come stays so. Locks, as an Event has, are not for a signal's handler.
    reader, writer = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(writer, b"."))
    return lambda seconds: bool(select.select([reader], [], [], seconds)[0])
