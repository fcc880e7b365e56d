"""The worker's part that declares what it has."""

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from chimera.adapters.celery import declaring
from chimera.adapters.celery.declaring import declaring_step
from chimera.errors import StoreUnavailable


class Declares:
    """Fails as often as told, then declares."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.done = Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.done.set()


def step(declares: Declares) -> Any:
    parent = SimpleNamespace(steps=[])
    return declaring_step(declares)(parent)


def worker(*queues: str) -> Any:
    selected = SimpleNamespace(_consume_from=dict.fromkeys(queues) if queues else None)
    return SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=selected)))


def test_it_declares_when_it_is_made_which_is_before_the_pool_forks_and_once() -> None:
    declares = Declares()
    part = step(declares)
    part.create(worker())
    assert declares.calls == 1
    part.start(worker())
    part.stop(worker())
    assert declares.calls == 1


@pytest.mark.parametrize("failure", [StoreUnavailable(), RuntimeError("a bug")])
def test_what_keeps_it_from_declaring_does_not_keep_the_worker_from_working(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declaring, "AGAIN_SECONDS", 0.01)
    declares = Declares(failure, StoreUnavailable(), StoreUnavailable())
    part = step(declares)
    part.create(worker())
    assert declares.calls == 1
    part.start(worker())
    assert declares.done.wait(30)
    assert declares.calls == 4


def test_a_worker_that_ends_tries_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declaring, "AGAIN_SECONDS", 3600.0)
    declares = Declares(StoreUnavailable())
    part = step(declares)
    part.create(worker())
    part.start(worker())
    part.stop(worker())
    assert part._stopped.is_set()
    assert declares.calls == 1


@pytest.mark.parametrize(
    ("queues", "declares"), [((), True), (("plan", "tenant.acme"), True), (("judge",), False), (("plan",), False)]
)
def test_workers_that_run_batches_declare(queues: tuple[str, ...], declares: bool) -> None:
    assert step(Declares()).include_if(worker(*queues)) is declares
