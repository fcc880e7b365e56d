"""Where `celery -A chimera ...` finds the app."""

from traceback import print_exception

from celery.signals import setup_logging

from chimera import logs
from chimera.adapters.celery import children, flower
from chimera.bootstrap import celery_app, services
from chimera.errors import ChimeraError
from chimera.settings import settings

try:
    app = celery_app()
    flower.connect()
    drain = lambda: services().working.drain()  # noqa: E731, PLW0108  a pool's child has services of its own
    children.connect(drain, settings().max_child_memory_bytes)
except ChimeraError as exc:
    raise SystemExit(f"chimera: {exc}") from exc
except ImportError as exc:
    # Celery would say that there is no app, and not why.
    print_exception(exc)
    raise SystemExit(f"chimera: what celeryconfig imports cannot be imported: {exc}") from exc

import chimera.tasks  # noqa: F401  its tasks register with the app


@setup_logging.connect
def _configure_logs(loglevel: int | str | None = None, **_: object) -> None:
    logs.configure(loglevel if isinstance(loglevel, str) else "INFO")
