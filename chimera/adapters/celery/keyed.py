"""A worker, or beat, that has no key for messages ends before it starts: nothing that it sends would be let in."""

from typing import Any

from celery import bootsteps
from celery.signals import beat_init

from chimera.adapters.celery.door import is_guarded
from chimera.adapters.celery.queue_names import named_queues
from chimera.errors import SettingsMissing


class Keyed(bootsteps.Step):
    """Ends a worker that listens to one of Chimera's queues and has no key."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        named = named_queues(worker.app)
        if named is None or any(map(is_guarded, named)):
            _require(worker.app)


def connect() -> None:
    """Has beat end that has no key."""
    beat_init.connect(_beat_begins)


def _beat_begins(sender: Any, **_: Any) -> None:
    _require(sender.app)


def _require(app: Any) -> None:
    try:
        app.signer.require()
    except SettingsMissing as exc:
        raise SystemExit(f"chimera: {exc}") from exc
