"""Messages that nobody of ours sent, pushed straight onto the queues."""

import json
import os
import pickle
import random
import tempfile
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from pytest_celery import CeleryWorkerCluster

from chimera import Chimera
from chimera.adapters.celery.queue_names import JUDGE_QUEUE, PLAN_QUEUE, tenant_queue
from chimera.adapters.celery.signer import Signer
from chimera.bootstrap import Services
from tests.exhaustive import Some
from tests.integration.skills import CANARY
from tests.integration.waiting import eventually
from tests.unit.adapters.mutator import Mutator
from tests.unit.adapters.test_door import message as door_message

# What each kind of message is refused for; the transport or the claim says so.
REASONS = {
    "empty": "not_a_message",
    "noise": "not_a_message",
    "huge": "too_large",
    "deep": "not_a_message",
    "scalar": "not_a_message",
    "no properties": "not_a_message",
    "wrong types": "not_a_message",
    "pickle": "not_a_message",
    "bad time limit": "not_a_message",
    "unknown task": "unknown_task",
    "wrong arguments": "wrong_arguments",
    "wrong queue": "wrong_queue",
    "unsigned": "unsigned",
    "edited": "unsigned",
    "moved": "unsigned",
    "foreign plan": "nothing_to_claim",
    "replayed": "nothing_to_claim",
}
EACH, KEPT = 75, 15
# For each kind of queue.
NEARLY_VALID, KEPT_NEARLY_VALID = 2000, 150


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


@pytest.fixture
def broker(project: dict[str, str]) -> "redis.Redis":
    return redis.Redis.from_url(project["CHIMERA_REDIS_URL"])


def made(kind: str, tenant: str, queue: str, signer: Signer, replayed: bytes, draw: random.Random, bomb: Path) -> bytes:
    ids = [uuid4().hex]
    message = partial(door_message, signer=signer, queue=queue)
    kinds: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "noise": lambda: CANARY.encode() + draw.randbytes(draw.randrange(2000)),
        "huge": lambda: message(arguments=[tenant, uuid4().hex, 0, [CANARY * 100_000], 1.0]),
        "deep": lambda: b"[" * 50_000 + CANARY.encode(),
        "scalar": lambda: json.dumps(draw.choice([None, 7, CANARY, [CANARY], True])).encode(),
        "no properties": lambda: json.dumps({"body": CANARY, "headers": {}}).encode(),
        "wrong types": lambda: message(headers__id=[CANARY], properties__delivery_tag={"x": CANARY}),
        "pickle": lambda: message(
            body=b64encode(pickle.dumps(Bomb(bomb))).decode(), content_type="application/x-python-serialize"
        ),
        "bad time limit": lambda: message(arguments=[tenant, uuid4().hex, 0, ids, 1.0], headers__timelimit=CANARY),
        "unknown task": lambda: message(f"{CANARY}.run", [CANARY]),
        "wrong arguments": lambda: message(arguments=[tenant, CANARY, 0, ids, 1.0]),
        "wrong queue": lambda: message(arguments=["somebody-else", uuid4().hex, 0, ids, 1.0]),
        # Somebody else's task under one's own tenant id: the claim looks for it among one's own.
        "foreign plan": lambda: message(arguments=[tenant, uuid4().hex, 0, ids, 10.0]),
        "unsigned": lambda: door_message(arguments=[tenant, uuid4().hex, 0, ids, 10.0], signer=None),
        "edited": lambda: message(arguments=[tenant, uuid4().hex, 0, ids, 10.0]).replace(
            b'"retries": 0', b'"retries": 1'
        ),
        "moved": lambda: message(queue=f"{queue}x", arguments=[tenant, uuid4().hex, 0, ids, 10.0]),
        "replayed": lambda: replayed,
    }
    return kinds[kind]()


def test_hundreds_of_them_run_nothing_and_the_worker_lives(
    chimera: Chimera,
    services: Services,
    celery_worker_cluster: CeleryWorkerCluster,
    broker: "redis.Redis",
    project: dict[str, str],
    tenant: str,
    tmp_path: Path,
    some: Some,
) -> None:
    handle = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 4})
    assert handle.wait(timeout=60).counts.committed == 4
    [first, *_] = handle.results()
    worked_off = [tenant, handle.plan_id.hex, 0, [first.task_id.hex], 10.0]
    signer = Signer([bytes.fromhex(project["CHIMERA_MESSAGE_KEY"])])
    replayed = door_message(arguments=worked_off, signer=signer, queue=tenant_queue(tenant))
    nodes = [node.container for node in celery_worker_cluster.nodes]
    pids = [node.pid for node in nodes]
    before = Counter(services.adapters.queue.refused())
    entries = len(services.adapters.plans.entries(tenant, None, 0, 10_000))
    draw = random.Random(4)
    kinds = [kind for kind in REASONS for _ in some(range(EACH), keep=KEPT)]
    draw.shuffle(kinds)

    for kind in kinds:
        queue = tenant_queue(tenant)
        if REASONS[kind] != "nothing_to_claim":
            queue = draw.choice([queue, PLAN_QUEUE, JUDGE_QUEUE])
        if kind in {"wrong arguments", "bad time limit", "huge"}:
            queue = tenant_queue(tenant)
        broker.lpush(queue, made(kind, tenant, queue, signer, replayed, draw, tmp_path / "bomb"))

    expected = Counter(REASONS[kind] for kind in kinds)
    eventually(lambda: Counter(services.adapters.queue.refused()) - before >= expected, seconds=90)
    assert Counter(services.adapters.queue.refused()) - before == expected
    assert [node.pid for node in nodes] == pids
    assert all(node.status == "running" for node in nodes)
    logs = "".join(node.logs() for node in nodes)
    refused = len(kinds) - expected["nothing_to_claim"]
    assert logs.count("message_refused") >= refused
    assert CANARY not in logs
    assert not (tmp_path / "bomb").exists()
    assert len(services.adapters.plans.entries(tenant, None, 0, 10_000)) == entries, "nothing of it ran"
    assert [broker.llen(queue) for queue in (PLAN_QUEUE, tenant_queue(tenant))] == [0, 0]
    after = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 40})
    assert after.wait(timeout=60).counts.committed == 40


def test_thousands_that_are_nearly_valid_end_no_process(
    chimera: Chimera,
    celery_worker_cluster: CeleryWorkerCluster,
    broker: "redis.Redis",
    project: dict[str, str],
    tenant: str,
    some: Some,
) -> None:
    signer = Signer([bytes.fromhex(project["CHIMERA_MESSAGE_KEY"])])
    plan, ids = uuid4().hex, [uuid4().hex]
    valid: dict[str, list[tuple[str, list[Any]]]] = {
        PLAN_QUEUE: [("chimera.plan", [tenant, plan]), ("chimera.replan", [tenant, plan, 3])],
        JUDGE_QUEUE: [("chimera.judge", [tenant, plan, 3]), ("chimera.stop", [tenant, plan]), ("chimera.sweep", [])],
        tenant_queue(tenant): [("chimera.work", [tenant, plan, 0, ids, 1.0])],
    }
    nodes = [node.container for node in celery_worker_cluster.nodes]
    pids = [node.pid for node in nodes]
    chimera.submit("test.numbers", tenant=tenant, inputs={"count": 1}).wait(timeout=60)  # the tenant is listened to
    for queue, messages in valid.items():
        whole = [door_message(task, given, queue=queue, signer=signer) for task, given in messages]
        mutator = Mutator(7, queue, signer, whole)
        for _ in some(range(NEARLY_VALID), keep=KEPT_NEARLY_VALID):
            broker.lpush(queue, mutator.next())
    eventually(lambda: not any(broker.llen(queue) for queue in valid), seconds=120)
    after = chimera.submit("test.numbers", tenant=tenant, inputs={"count": 40})
    assert after.wait(timeout=60).counts.committed == 40
    assert [node.pid for node in nodes] == pids
    assert all(node.status == "running" for node in nodes)
    # Neither has one of them lost its connection to the broker over it.
    assert "Connection to broker lost" not in "".join(node.logs() for node in nodes)


BOMB = Path(tempfile.gettempdir()) / f"bomb-{os.getpid()}"
OVERWRITTEN: dict[str, Callable[["redis.Redis", str], object]] = {
    "no number": lambda broker, group: broker.set(f"{group}.s", b"\xff noise"),
    "of another kind": lambda broker, group: (broker.delete(f"{group}.s"), broker.lpush(f"{group}.s", "x")),
    "results of another kind": lambda broker, group: broker.set(f"{group}.j", "x"),
    "results that are pickled": lambda broker, group: broker.zadd(f"{group}.j", {pickle.dumps(Bomb(BOMB)): 0}),
    "too soon": lambda broker, group: broker.set(f"{group}.s", 1),
}


@pytest.mark.parametrize("how", OVERWRITTEN)
def test_counts_of_a_wave_that_are_overwritten_end_nothing_and_run_nothing(
    chimera: Chimera, celery_worker_cluster: CeleryWorkerCluster, broker: "redis.Redis", tenant: str, how: str
) -> None:
    nodes = [node.container for node in celery_worker_cluster.nodes]
    pids = [node.pid for node in nodes]
    before = set(broker.scan_iter("celery-taskset-meta-*.s"))
    steps = [{"do": "slow", "seconds": seconds} for seconds in (0.5, 1.0)]
    handle = chimera.submit("test.steps", tenant=tenant, inputs={"steps": steps})
    eventually(lambda: set(broker.scan_iter("celery-taskset-meta-*.s")) - before)
    for key in set(broker.scan_iter("celery-taskset-meta-*.s")) - before:
        OVERWRITTEN[how](broker, key.decode().removesuffix(".s"))
    assert handle.wait(timeout=60).counts.committed == 2
    assert [node.pid for node in nodes] == pids
    assert all(node.status == "running" for node in nodes)
    assert not BOMB.exists()
