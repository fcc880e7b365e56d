"""Flower is refused where nobody needs a password to see its pages: by itself it starts open."""

from typing import Any

import click
from celery.signals import import_modules

_REFUSED = (
    "chimera: Flower has no password, and would show its pages to anybody: set CHIMERA_FLOWER_BASIC_AUTH=USER:PASSWORD "
    "and start it with --conf=flowerconfig.py, or start it with --basic-auth=USER:PASSWORD or --auth"
)


def connect() -> None:
    """Has Celery ask `refuse_open_flower` before Flower listens."""
    import_modules.connect(refuse_open_flower)


def refuse_open_flower(**_: Any) -> None:
    """Ends this process if it is Flower's, and Flower's options name neither a password nor who may log in.

    Flower has the app import its modules after it has read its options and before it listens. Other commands have
    modules imported too.

    Raises:
        SystemExit: with the message.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != "flower":
        return
    from tornado.options import options

    # Flower takes `--basic-auth=ana` for the user ana without a password.
    logins = [login.partition(":")[2] for login in options.basic_auth or []]
    if not options.auth and not (logins and all(logins)):
        raise SystemExit(_REFUSED)
