"""One LPUSH, PUBLISH or SET of somebody who reaches the broker and nothing else, and what the swarm does afterwards."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis

from chimera import Chimera
from tests.attacks.broker.conftest import Swarm, forged
from tests.integration.conftest import services_with

# A queue that nobody of the swarm has.
LOOT = "loot"
CONTROL = "/0.celery.pidbox"

Message = dict[str, Any]


def works(swarm: Swarm, plans: int = 1) -> None:
    """Asserts that the processes that were there before still are, and that plans go their whole way.

    The first may be lost with what the attack has overwritten; beat, which would send it again, is not here.
    """
    pids = [process.pid for process in swarm.processes.values()]
    ended = 0
    for _ in range(plans + 2):
        ended += _plan_ends(swarm)
        assert all(process.status == "running" for process in swarm.processes.values()), "a process has ended"
        if ended == plans:
            break
    assert ended == plans, "plans do not end"
    assert [process.pid for process in swarm.processes.values()] == pids
    swarm.is_ill = False


def _plan_ends(swarm: Swarm) -> bool:
    handle = Chimera(swarm.services).submit("test.numbers", tenant=swarm.tenant, inputs={"count": 2})
    end = datetime.now(UTC) + timedelta(seconds=4)
    while datetime.now(UTC) < end:
        if not all(process.status == "running" for process in swarm.processes.values()):
            return False
        try:
            return handle.wait(timeout=0.3).counts.committed == 2
        except TimeoutError:
            continue
    return False


def submission(swarm: Swarm, trace: str) -> Message:
    """A plan that beat would submit."""
    request = {"tenant_id": swarm.tenant, "planner": "test.numbers", "inputs": {"count": 1}, "trace_id": trace}
    return forged("plan", "chimera.submit", request)


def runs_nothing(swarm: Swarm, trace: str) -> None:
    """Asserts that no plan came of it, once whatever was sent before has been worked off."""
    works(swarm)
    with psycopg.connect(swarm.variables["SUPERUSER_DATABASE_URL"]) as connection:
        found = connection.execute("select count(*) from plan where trace_id = %s", (trace,)).fetchone()
    assert found == (0,), "a plan that nobody of ours submitted runs"
    assert not swarm.broker.llen(LOOT), "what nobody of ours wrote has sent a message"


ENVELOPES: dict[str, Callable[[Message], object]] = {
    "nothing else": lambda message: None,
    "stamps": lambda message: message["headers"].update(stamps=5),
    "a reply_to": lambda message: message["properties"].update(reply_to=LOOT),
    "a megabyte to show": lambda message: message["headers"].update(argsrepr="x" * 1_000_000),
    "another origin": lambda message: message["headers"].update(origin="x", meth="x", lang="x"),
    "a past eta": lambda message: message["headers"].update(eta="2020-01-01T00:00:00+00:00"),
    "a time limit": lambda message: message["headers"].update(timelimit=[3000.0, 2000.0]),
    "retries": lambda message: message["headers"].update(retries=10**6),
    "redelivered": lambda message: message["headers"].update(redelivered=True),
}


@pytest.mark.parametrize("what", ENVELOPES)
def test_a_message_runs_nothing_whatever_its_envelope_has(swarm: Swarm, what: str) -> None:
    trace = str(uuid4())
    message = submission(swarm, trace)
    ENVELOPES[what](message)
    swarm.broker.lpush("plan", json.dumps(message))
    runs_nothing(swarm, trace)


def test_stamped_headers_do_not_end_the_judge(swarm: Swarm) -> None:
    message = forged("judge", "chimera.sweep")
    message["headers"]["stamped_headers"] = 5
    swarm.broker.lpush("judge", json.dumps(message))
    works(swarm)


@pytest.mark.parametrize("how", ["edited", "moved"])
def test_a_message_of_ours_does_not_run_elsewhere_or_otherwise(swarm: Swarm, how: str) -> None:
    trace = str(uuid4())
    url = swarm.variables["CHIMERA_REDIS_URL"].removesuffix("/0") + "/5"
    queue = "plan" if how == "edited" else f"tenant.{swarm.tenant}"
    of_ours = str(uuid4()) if how == "edited" else trace
    request = {"tenant_id": swarm.tenant, "planner": "test.numbers", "inputs": {"count": 1}, "trace_id": of_ours}
    with services_with(swarm.variables | {"CHIMERA_REDIS_URL": url})._app as app, redis.Redis.from_url(url) as client:
        app.send_task("chimera.submit", kwargs=request, queue=queue)
        message: Message = json.loads(client.rpop(queue))
    if how == "edited":
        message["body"] = submission(swarm, trace)["body"]
    swarm.broker.lpush("plan", json.dumps(message))
    runs_nothing(swarm, trace)


def test_what_is_put_where_messages_under_way_are_kept_does_not_run(swarm: Swarm) -> None:
    trace = str(uuid4())
    swarm.broker.hset("unacked", trace, json.dumps([submission(swarm, trace), "", "plan"]))
    swarm.broker.zadd("unacked_index", {trace: 1})
    while swarm.broker.hexists("unacked", trace):  # a worker looks every 5 s
        works(swarm)
    runs_nothing(swarm, trace)


def command(method: str, **arguments: Any) -> bytes:
    """A message of remote control."""
    text = json.dumps({"method": method, "arguments": arguments, "destination": None}).encode()
    delivery = {"exchange": "celery.pidbox", "routing_key": ""}
    properties = {"body_encoding": "base64", "delivery_tag": str(uuid4()), "delivery_info": delivery, "priority": 0}
    whole = {"body": b64encode(text).decode(), "headers": {"clock": 1, "expires": None}, "properties": properties}
    return json.dumps(whole | {"content-type": "application/json", "content-encoding": "utf-8"}).encode()


PUBLISHED = {
    "a number": b"5",
    "many brackets": b"[" * 100_000,
    "shutdown": command("shutdown"),
    "cancel_consumer of plans": command("cancel_consumer", queue="plan"),
}


@pytest.mark.parametrize("what", PUBLISHED)
def test_nothing_that_is_published_keeps_the_swarm_from_its_work(swarm: Swarm, what: str) -> None:
    swarm.broker.publish(CONTROL, PUBLISHED[what])
    works(swarm, plans=3)


def test_remote_control_does_not_lead_round_the_door(swarm: Swarm) -> None:
    trace = str(uuid4())
    swarm.broker.publish(CONTROL, command("add_consumer", queue=LOOT))
    works(swarm)
    swarm.broker.lpush(LOOT, json.dumps(submission(swarm, trace)))
    works(swarm)
    assert swarm.broker.delete(LOOT), "somebody has taken it"
    runs_nothing(swarm, trace)


OVERWRITTEN: dict[str, Callable[["redis.Redis"], object]] = {
    "the judge's queue": lambda broker: broker.set("judge", "x"),
    "the queue of plans": lambda broker: broker.set("plan", "x"),
    "what is under way": lambda broker: (broker.delete("unacked"), broker.set("unacked", "x")),
    "its index": lambda broker: (broker.delete("unacked_index"), broker.set("unacked_index", "x")),
    "who has work": lambda broker: (broker.delete("chimera:tenants"), broker.set("chimera:tenants", "x")),
    "who has work, with noise": lambda broker: broker.zadd("chimera:tenants", {b"\xff\xfe": 1e12}),
}


@pytest.mark.exhaustive(keep=3)
@pytest.mark.parametrize("what", OVERWRITTEN)
def test_nothing_that_is_overwritten_keeps_the_swarm_from_its_work(swarm: Swarm, what: str) -> None:
    OVERWRITTEN[what](swarm.broker)
    works(swarm)


def test_noise_among_what_is_under_way_is_not_in_the_way(swarm: Swarm) -> None:
    swarm.broker.hset("unacked", "noise", "noise")
    swarm.broker.zadd("unacked_index", {"noise": 1})
    while swarm.broker.hexists("unacked", "noise"):  # a worker looks every 5 s
        works(swarm)
    works(swarm)
