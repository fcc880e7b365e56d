"""Flower is refused where nobody needs a password to see its pages, and where its settings are named and missing.

By itself it starts open, and without a flowerconfig.py that is not there; and it tells its metrics, which name workers
and tasks, to whoever asks.
"""

import os
from pathlib import Path
from typing import Any

import click
from celery.signals import import_modules

_REFUSED = (
    "chimera: Flower has no password, and would show its pages to anybody: set CHIMERA_FLOWER_BASIC_AUTH=USER:PASSWORD "
    "and start it with --conf=flowerconfig.py, or start it with --basic-auth=USER:PASSWORD or --auth"
)
_MISSING = (
    "chimera: Flower's settings are missing: there is no {path}. `chimera init` makes one in the folder of a project; "
    'in a Procfile --conf="${{CHIMERA_FLOWER_CONFIG:-flowerconfig.py}}" takes Chimera\'s own where the project has none'
)


def connect() -> None:
    """Has Celery ask `refuse_open_flower` before Flower listens."""
    import_modules.connect(refuse_open_flower)


def refuse_open_flower(**_: Any) -> None:
    """Ends this process if it is Flower's, and the file of its settings is named and missing, or its options name
    neither a password nor who may log in; else has /metrics ask for the same login as the pages.

    Flower has the app import its modules after it has read its options and before it listens. Other commands have
    modules imported too.

    Raises:
        SystemExit: with the message.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != "flower":
        return
    from tornado.options import options

    if _names_settings(context) and not (path := Path(options.conf).absolute()).exists():
        raise SystemExit(_MISSING.format(path=path))
    # Flower takes `--basic-auth=ana` for the user ana without a password.
    logins = [login.partition(":")[2] for login in options.basic_auth or []]
    if not options.auth and not (logins and all(logins)):
        raise SystemExit(_REFUSED)
    _close_metrics()


def _close_metrics() -> None:
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    Metrics.get = authenticated(Metrics.get)


def _names_settings(context: click.Context) -> bool:
    """Whether somebody named the file; without that Flower looks for flowerconfig.py and does without it."""
    words = (str(word).lstrip("-") for word in context.params["tornado_argv"])
    return "FLOWER_CONF" in os.environ or any(word.startswith("conf=") for word in words)
