"""A hundred thousand messages for each kind of queue that are nearly valid: nothing foreign comes in, and nothing that
comes in is anything that Celery stumbles over.
"""

import json
import sys
from base64 import b64decode
from collections import Counter
from typing import Any

import pytest
from celery import Celery
from celery.worker.request import Request
from kombu.transport import virtual

from chimera.adapters.celery.door import Refused, let_in
from chimera.adapters.celery.envelope import Envelope
from chimera.adapters.celery.messages import MESSAGES, REDACTED
from tests.exhaustive import Some
from tests.unit.adapters.mutator import Mutator
from tests.unit.adapters.test_door import CHORD, GROUP, PLAN, SIGNER, TASKS, message

EACH, KEPT = 100_000, 1_500
FOLLOWER = {"task": "mine", "args": [1], "kwargs": {"a": {}}, "options": {"queue": "mine"}}
SUBMITTED = {"tenant_id": "acme", "planner": "p", "inputs": {"a": [1, {"b": 2.5}]}, "trace_id": "t"}

VALID = {
    "plan": [
        message("chimera.plan", ["acme", PLAN], queue="plan"),
        message("chimera.replan", ["acme", PLAN, 3], queue="plan"),
        message("chimera.submit", [], SUBMITTED, queue="plan", headers__expires="2027-01-01T00:00:00+00:00"),
        message("mine", [1, {"a": 1}], {"b": 2}, queue="plan", embed={"callbacks": [FOLLOWER], "chain": [FOLLOWER]}),
    ],
    "judge": [
        message("chimera.judge", ["acme", PLAN, 3], queue="judge", headers__group=GROUP),
        message("chimera.dispatch", ["acme"], queue="judge"),
        message("chimera.stop", ["acme", PLAN], queue="judge", headers__eta="2026-11-21T00:00:00+00:00"),
        message("chimera.sweep", [], queue="judge", headers__expires="2027-01-01T00:00:00+00:00"),
    ],
    "tenant.acme": [
        message(),
        message(embed={"chord": CHORD}, headers__group=GROUP, headers__group_index=1),
    ],
}


@pytest.fixture(scope="module")
def celery() -> Celery:
    app = Celery("door", broker="memory://", set_as_current=False)

    def nothing() -> None:
        pass

    # With what other tests have imported; what it lacks of that is this app's alone.
    app.finalize()
    for name in TASKS - app.tasks.keys():
        app.task(name=name, shared=False)(nothing)
    return app


@pytest.mark.parametrize("queue", VALID)
def test_what_is_nearly_valid(queue: str, some: Some, celery: Celery) -> None:
    mutator = Mutator(12, queue, SIGNER, VALID[queue])
    signed = {_signed(raw) for raw in VALID[queue]}
    outcomes: Counter[str] = Counter()
    for _ in range(len(some(range(EACH), keep=KEPT))):
        raw = mutator.next()
        try:
            built = let_in(raw, queue, TASKS, SIGNER)
        except Refused as refused:
            outcomes[refused.reason] += 1
            continue
        outcomes["let in"] += 1
        # Signed in full when it was made, or by the mutator with the right key.
        assert _signed(raw) in signed or Envelope.read(raw).is_signed(SIGNER, queue)
        _is_ours(json.loads(built.raw), queue)
        _celery_takes(json.loads(built.raw), celery)
    reasons = {"not_a_message", "unsigned", "unknown_task", "wrong_arguments", "wrong_queue", "redelivered"}
    assert outcomes.keys() <= reasons | {"let in"}
    # It is no test of one way out.
    assert min(outcomes[reason] for reason in ("let in", "not_a_message", "unsigned", "wrong_arguments")) > 10


def _signed(raw: bytes) -> tuple[str, str]:
    whole = json.loads(raw)
    return whole["body"], whole["headers"]["chimera_signature"]


def _is_ours(whole: dict[str, Any], queue: str) -> None:
    """Asserts that what is let in is a message that Chimera, or a user's task, could have sent to this queue."""
    headers, (positional, named, embed) = whole["headers"], json.loads(b64decode(whole["body"]))
    assert headers["task"] in TASKS
    assert not headers["task"].startswith("celery.")
    assert (headers["stamps"], headers["stamped_headers"], whole["properties"]["reply_to"]) == ({}, None, "")
    assert whole["properties"]["delivery_info"].items() >= {"exchange": "", "routing_key": queue}.items()
    if headers["task"] == "mine":
        assert queue != "judge"
        return
    known = MESSAGES[headers["task"]]
    assert known.is_valid(tuple(positional), named)
    assert known.queue_for(tuple(positional)) == queue
    assert (headers["argsrepr"], headers["kwargsrepr"], headers["shadow"]) == (REDACTED, REDACTED, None)
    assert [embed[name] for name in ("callbacks", "errbacks", "chain")] == [None] * 3
    if embed["chord"] is not None:
        assert (headers["task"], embed["chord"]["task"]) == ("chimera.work", "chimera.judge")
        assert embed["chord"]["args"] == positional[:3]
        assert embed["chord"]["options"]["queue"] == "judge"


def _celery_takes(whole: dict[str, Any], app: Celery) -> None:
    """What a worker's main process does with a message before a child has it."""
    channel = virtual.Channel.__new__(virtual.Channel)
    taken = virtual.Message(whole, channel=channel)
    request = Request(taken, app=app, body=taken.body, headers=taken.headers)
    request.revoked()
    request.info(safe=True)
    assert request.request_dict["retries"] is None or request.request_dict["retries"] < sys.maxsize
