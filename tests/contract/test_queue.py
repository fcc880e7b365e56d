"""The way to the workers: what each message says, and a broker that is not there."""

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery

from chimera.adapters.celery import queue as celery_queue
from chimera.adapters.celery.app import make_app
from chimera.adapters.celery.door import MAX_REDELIVERIES, Refused, let_in
from chimera.adapters.celery.messages import REDACTED
from chimera.adapters.celery.quarantine import MAX_ENTRIES, Quarantine
from chimera.adapters.celery.signer import Signer
from chimera.adapters.embedded.ports import free_port
from chimera.errors import QueueUnavailable
from chimera.models.work.bound import BoundTenant
from chimera.models.work.quarantined import MAX_KEPT_BYTES, Quarantined
from chimera.models.work.wave import Batch, Dispatch, WaveRef
from chimera.ports.queue import Queue
from chimera.settings import Settings
from tests.conftest import new_tenant_id
from tests.fakes import FakeQueue

# A database of its own on the tests' server.
DATABASE = 9


class Broker(ABC):
    """A queue, and what was sent through it."""

    queue: Queue

    @abstractmethod
    def sent(self) -> list[tuple[str, list[Any]]]:
        """Each message: the Celery task's name and its arguments; those to one place in their order."""

    @abstractmethod
    def refuse(self, raw: bytes, reason: str) -> None:
        """A worker refuses a message of the queue `plan`."""

    @abstractmethod
    def leave(self) -> None:
        """From now on nobody answers."""


class FakeBroker(Broker):
    def __init__(self) -> None:
        self.queue = self._fake = FakeQueue()

    def sent(self) -> list[tuple[str, list[Any]]]:
        fake = self._fake
        plans = [("chimera.plan", [plan.tenant_id, plan.plan_id.hex]) for plan in fake.plans]
        stops = [("chimera.stop", [plan.tenant_id, plan.plan_id.hex]) for plan in fake.stopped]
        plans += [("chimera.replan", _place(wave)) for wave in fake.replans]
        judged = [("chimera.judge", _place(wave)) for wave in fake.judged]
        dispatched = [("chimera.dispatch", [tenant_id]) for tenant_id in fake.dispatched]
        return plans + judged + dispatched + stops + self._work()

    def refuse(self, raw: bytes, reason: str) -> None:
        entry = Quarantined(
            entry_id=uuid4().hex[:12],
            at=datetime.now(UTC),
            reason=reason,
            queue="plan",
            size_bytes=len(raw),
            content=raw[:MAX_KEPT_BYTES],
        )
        self._fake.kept.insert(0, entry)

    def leave(self) -> None:
        self._fake.room = 0

    def _work(self) -> list[tuple[str, list[Any]]]:
        return [
            (
                "chimera.work",
                [*_place(dispatch.wave), [task_id.hex for task_id in batch.task_ids], batch.timeout_seconds],
            )
            for dispatch in self._fake.dispatches
            for batch in dispatch.batches
        ]


class CeleryBroker(Broker):
    def __init__(self, app: Celery, client: redis.Redis, elsewhere: Celery) -> None:
        self.client: Any = client
        self.app = app
        self._elsewhere = elsewhere
        self.queue = celery_queue.Queue(app)

    def sent(self) -> list[tuple[str, list[Any]]]:
        return [(message["headers"]["task"], message["body"][0]) for message in self.messages()]

    def messages(self) -> list[dict[str, Any]]:
        names = ["plan", "judge", *sorted(key.decode() for key in self.client.scan_iter("tenant.*"))]
        found = []
        for name in names:
            # Celery puts in on the left and takes out on the right.
            for raw in reversed(self.client.lrange(name, 0, -1)):
                message = json.loads(raw)
                found.append(message | {"body": json.loads(base64.b64decode(message["body"])), "queue": name})
        return found

    def refuse(self, raw: bytes, reason: str) -> None:
        Quarantine(self.client).put(raw, "plan", reason)

    def leave(self) -> None:
        self.queue = celery_queue.Queue(self._elsewhere)


@pytest.fixture
def celery_broker(servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CeleryBroker]:
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "no_such_celeryconfig")
    url = urlsplit(servers["CHIMERA_REDIS_URL"])._replace(path=f"/{DATABASE}").geturl()
    with (
        redis.Redis.from_url(url) as client,
        _app(url) as app,
        _app(f"redis://127.0.0.1:{free_port()}/0") as elsewhere,
    ):
        client.flushdb()
        yield CeleryBroker(app, client, elsewhere)


@pytest.fixture(params=["fake", "celery"])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "fake":
        return FakeBroker()
    real: CeleryBroker = request.getfixturevalue("celery_broker")
    return real


@pytest.fixture
def wave() -> WaveRef:
    return WaveRef(tenant_id=new_tenant_id(), plan_id=uuid4(), wave_no=3)


def test_a_plan_s_message_names_the_plan(broker: Broker) -> None:
    tenant_id, plan_id = new_tenant_id(), uuid4()
    broker.queue.publish_plan(tenant_id, plan_id)
    assert broker.sent() == [("chimera.plan", [tenant_id, plan_id.hex])]


def test_a_question_to_the_planner_names_the_wave(broker: Broker, wave: WaveRef) -> None:
    broker.queue.publish_replan(wave)
    assert broker.sent() == [("chimera.replan", _place(wave))]


def test_a_stop_names_the_plan(broker: Broker) -> None:
    tenant_id, plan_id = new_tenant_id(), uuid4()
    broker.queue.publish_stop(tenant_id, plan_id)
    assert broker.sent() == [("chimera.stop", [tenant_id, plan_id.hex])]


def test_a_call_for_the_judge_names_the_wave(broker: Broker, wave: WaveRef) -> None:
    broker.queue.publish_judge(wave)
    assert broker.sent() == [("chimera.judge", _place(wave))]


def test_a_call_for_the_next_waves_names_the_tenant(broker: Broker) -> None:
    broker.queue.publish_dispatch("acme")
    assert broker.sent() == [("chimera.dispatch", ["acme"])]


def test_a_wave_is_one_message_for_each_batch_in_order(broker: Broker, wave: WaveRef) -> None:
    batches = [_batch(uuid4(), uuid4()), _batch(uuid4())]
    broker.queue.publish_wave(Dispatch(wave=wave, batches=tuple(batches)))
    assert broker.sent() == [_work(wave, batch) for batch in batches]


def test_who_has_workers_of_its_own_is_known_until_it_has_none(broker: Broker) -> None:
    other = BoundTenant(tenant_id="other", broker_sha256="0" * 64)
    broker.queue.keep_bound([BoundTenant(tenant_id="acme", broker_sha256="1" * 64), other])
    assert broker.queue.bound() == {"acme", "other"}
    broker.queue.keep_bound([other])
    assert broker.queue.bound() == {"other"}
    broker.queue.keep_bound([])
    assert broker.queue.bound() == set()


def test_what_was_refused_is_kept_the_newest_first_until_it_is_dropped(broker: Broker) -> None:
    for reason in ("unsigned", "redelivered", "not_a_message"):
        broker.refuse(reason.encode() + b"\xff\x1b", reason)
    kept = broker.queue.quarantined()
    assert [entry.reason for entry in kept] == ["not_a_message", "redelivered", "unsigned"]
    assert [entry.content for entry in kept] == [entry.reason.encode() + b"\xff\x1b" for entry in kept]
    assert {entry.queue for entry in kept} == {"plan"}
    assert broker.queue.drop_quarantined(frozenset({kept[1].entry_id, "0" * 12})) == 1
    assert broker.queue.quarantined() == [kept[0], kept[2]]
    assert broker.queue.drop_quarantined(None) == 2
    assert broker.queue.quarantined() == []


def test_of_a_large_message_its_beginning_is_kept(broker: Broker) -> None:
    broker.refuse(b"x" * 100_000, "too_large")
    [entry] = broker.queue.quarantined()
    assert (entry.size_bytes, len(entry.content)) == (100_000, MAX_KEPT_BYTES)


PUBLISH: dict[str, Callable[[Queue, WaveRef], object]] = {
    "plan": lambda queue, wave: queue.publish_plan(wave.tenant_id, wave.plan_id),
    "replan": lambda queue, wave: queue.publish_replan(wave),
    "wave": lambda queue, wave: queue.publish_wave(Dispatch(wave=wave, batches=(_batch(uuid4()),))),
    "judge": lambda queue, wave: queue.publish_judge(wave),
    "dispatch": lambda queue, wave: queue.publish_dispatch(wave.tenant_id),
    "stop": lambda queue, wave: queue.publish_stop(wave.tenant_id, wave.plan_id),
}


@pytest.mark.parametrize("what", ["plan", "wave"])
@pytest.mark.timeout(20)
def test_a_broker_that_is_not_there_is_said_to_be_unavailable(broker: Broker, wave: WaveRef, what: str) -> None:
    broker.leave()
    with pytest.raises(QueueUnavailable):
        PUBLISH[what](broker.queue, wave)


# Of the real one only.


def test_a_tenant_s_batches_go_to_its_own_queue_and_the_judge_follows(
    celery_broker: CeleryBroker, wave: WaveRef
) -> None:
    celery_broker.queue.publish_wave(Dispatch(wave=wave, batches=(_batch(uuid4()), _batch(uuid4()))))
    messages = celery_broker.messages()
    assert {message["queue"] for message in messages} == {f"tenant.{wave.tenant_id}"}
    for message in messages:
        follows = message["body"][2]["chord"]
        assert (follows["task"], list(follows["args"])) == ("chimera.judge", _place(wave))


def test_all_that_workers_do_for_a_tenant_with_its_own_goes_to_its_queue_and_nothing_follows(
    celery_broker: CeleryBroker, wave: WaveRef
) -> None:
    celery_broker.queue.keep_bound([BoundTenant(tenant_id=wave.tenant_id, broker_sha256="0" * 64)])
    try:
        for what in ("plan", "replan", "wave"):
            PUBLISH[what](celery_broker.queue, wave)
    finally:
        celery_broker.queue.keep_bound([])
    messages = celery_broker.messages()
    assert [message["headers"]["task"] for message in messages] == ["chimera.plan", "chimera.replan", "chimera.work"]
    assert {message["queue"] for message in messages} == {f"tenant.{wave.tenant_id}"}
    assert messages[2]["body"][2]["chord"] is None


def test_of_a_flood_the_newest_are_kept_and_noise_is_none(celery_broker: CeleryBroker) -> None:
    for number in range(MAX_ENTRIES + 10):
        celery_broker.refuse(str(number).encode(), "unsigned")
    celery_broker.client.lpush("chimera:quarantine", b"\xff", b"{}", b"[" * 1000)
    assert len(celery_broker.queue.quarantined()) < MAX_ENTRIES
    kept = celery_broker.queue.quarantined()
    assert kept[0].content == str(MAX_ENTRIES + 9).encode()
    celery_broker.refuse(b"x", "unsigned")
    assert celery_broker.client.llen("chimera:quarantine") <= MAX_ENTRIES


def test_what_is_put_back_again_and_again_is_let_in_no_more(celery_broker: CeleryBroker, wave: WaveRef) -> None:
    celery_broker.queue.publish_judge(wave)
    client, seal = celery_broker.client, Signer([b"\x5c" * 32])
    for _ in range(MAX_REDELIVERIES):
        built = let_in(client.rpop("judge"), "judge", {"chimera.judge"}, seal)
        client.hset("unacked", built.tag, json.dumps([json.loads(built.raw), "", "judge"]))
        with celery_broker.app.connection_for_write() as connection:
            connection.default_channel.qos.restore_by_tag(built.tag)  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="redelivered"):
        let_in(client.rpop("judge"), "judge", {"chimera.judge"}, seal)


def test_plans_and_the_judge_have_queues_of_their_own(celery_broker: CeleryBroker, wave: WaveRef) -> None:
    for what in ("plan", "replan", "judge", "dispatch", "stop"):
        PUBLISH[what](celery_broker.queue, wave)
    queues = {message["headers"]["task"]: message["queue"] for message in celery_broker.messages()}
    assert queues == {
        "chimera.plan": "plan",
        "chimera.replan": "plan",
        "chimera.judge": "judge",
        "chimera.dispatch": "judge",
        "chimera.stop": "judge",
    }


def test_no_message_shows_its_arguments_to_who_looks_at_events(celery_broker: CeleryBroker, wave: WaveRef) -> None:
    for publish in PUBLISH.values():
        publish(celery_broker.queue, wave)
    messages = celery_broker.messages()
    assert len(messages) == len(PUBLISH)
    assert {message["headers"]["argsrepr"] for message in messages} == {REDACTED}
    assert {message["headers"]["kwargsrepr"] for message in messages} == {REDACTED}


def test_a_process_that_publishes_waves_does_not_go_on_listening_for_their_end(
    celery_broker: CeleryBroker, wave: WaveRef, servers: dict[str, str]
) -> None:
    # A subscription and a result object for each wave, kept for good, fill a long-lived Judge and its broker.
    with redis.Redis.from_url(servers["CHIMERA_REDIS_URL"]) as client:
        before = set(client.pubsub_channels("celery-task-meta-*"))
        for _ in range(3):
            PUBLISH["wave"](celery_broker.queue, wave)
        assert set(client.pubsub_channels("celery-task-meta-*")) == before


def test_a_broker_that_is_not_there_is_noticed_at_once_and_its_password_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Who submits waits for this; the store has the plan already.
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "no_such_celeryconfig")
    began = monotonic()
    with _app(f"redis://:s3cret@127.0.0.1:{free_port()}/0") as app, pytest.raises(QueueUnavailable) as caught:
        celery_queue.Queue(app).publish_plan("acme", uuid4())
    assert "127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert monotonic() - began < 3.0


def _place(wave: WaveRef) -> list[Any]:
    return [wave.tenant_id, wave.plan_id.hex, wave.wave_no]


def _work(wave: WaveRef, batch: Batch) -> tuple[str, list[Any]]:
    return "chimera.work", [*_place(wave), [task_id.hex for task_id in batch.task_ids], batch.timeout_seconds]


def _batch(*task_ids: UUID) -> Batch:
    return Batch(task_ids=task_ids, timeout_seconds=10.0 * len(task_ids))


@contextmanager
def _app(url: str) -> Iterator[Celery]:
    app = make_app(Settings(_env_file=None, redis_url=url, message_key="5c" * 32))
    try:
        yield app
    finally:
        app.close()
