"""Where `celery -A chimera ...` finds the app."""

import atexit
import gc

# What loads here stays until the end: to look for garbage in it while it loads, in each pool child and once more when
# the process ends takes half a second of computing.
gc.disable()
atexit.register(gc.freeze)

from traceback import print_exception

from celery.signals import setup_logging
from pydantic import ValidationError

from chimera import logs
from chimera.adapters.celery import children, flower, keyed, waking
from chimera.bootstrap import celery_app, services
from chimera.errors import ChimeraError
from chimera.models.text.quoted_inputs import hide_inputs
from chimera.settings import settings

try:
    app = celery_app()
    flower.connect()
    drain = lambda: services().working.drain()  # noqa: E731, PLW0108  a pool's child has services of its own
    children.connect(drain, settings().max_child_memory_bytes)
    waking.connect()
    keyed.connect()
except ChimeraError as exc:
    raise SystemExit(f"chimera: {exc}") from exc
except ImportError as exc:
    # Celery would say that there is no app, and not why.
    print_exception(exc)
    raise SystemExit(f"chimera: what celeryconfig imports cannot be imported: {exc}") from exc
except ValidationError as exc:
    # Without its traceback, which quotes the value: as a rule a setting's, and so perhaps a secret.
    raise SystemExit(f"chimera: celeryconfig cannot be imported: {hide_inputs(str(exc))}") from None

import chimera.tasks  # noqa: F401  its tasks register with the app

gc.freeze()
# Plans and waves are thousands of objects without cycles: to look for garbage at each 700 new ones took a tenth of what
# it takes to make them.
gc.set_threshold(5_000, 20, 20)
gc.enable()


@setup_logging.connect
def _configure_logs(loglevel: int | str | None = None, **_: object) -> None:
    logs.configure(loglevel if isinstance(loglevel, str) else "INFO")
