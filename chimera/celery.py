"""Where `celery -A chimera ...` finds the app."""

from celery.signals import setup_logging

from chimera import logs
from chimera.bootstrap import celery_app
from chimera.errors import ChimeraError

try:
    app = celery_app()
except ChimeraError as exc:
    raise SystemExit(f"chimera: {exc}") from exc

import chimera.tasks  # noqa: F401  its tasks register with the app


@setup_logging.connect
def _configure_logs(loglevel: int | str | None = None, **_: object) -> None:
    logs.configure(loglevel if isinstance(loglevel, str) else "INFO")
