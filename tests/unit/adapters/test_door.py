"""What may come in, message by message."""

import json
from base64 import b64encode
from typing import Any
from uuid import uuid4

import pytest

from chimera.adapters.celery.door import MAX_BYTES, fault, is_guarded
from chimera.adapters.celery.messages import MESSAGES

TASKS = {"celery.map", "mine", *MESSAGES}
PLAN = uuid4().hex
WORK = ["acme", PLAN, 0, [uuid4().hex], 10.0]


def message(task: str = "chimera.work", arguments: Any = None, options: Any = None, **changes: Any) -> bytes:
    """A message as Celery sends it; `changes` replace parts of it, by their names with __ for the way there."""
    body = [WORK if arguments is None else arguments, options or {}, {"callbacks": None, "chord": None}]
    whole: dict[str, Any] = {
        "body": b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"id": uuid4().hex, "task": task, "timelimit": [30, None], "eta": None, "retries": 0},
        "properties": {
            "delivery_tag": uuid4().hex,
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "body_encoding": "base64",
            "priority": 0,
        },
    }
    for way, value in changes.items():
        *outer, last = way.replace("content_", "content-").split("__")
        part = whole
        for name in outer:
            part = part[name]
        part[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("queue", "raw"),
    [
        ("tenant.acme", message()),
        ("tenant.acme", message(headers__eta="2026-11-21T00:00:00+00:00", headers__timelimit=[None, 1.5])),
        ("judge", message("chimera.judge", ["acme", PLAN, 3])),
        ("judge", message("chimera.stop", ["acme", PLAN])),
        ("judge", message("chimera.dispatch", ["acme"])),
        ("judge", message("chimera.sweep", [])),
        ("plan", message("chimera.plan", ["acme", PLAN])),
        ("plan", message("chimera.replan", ["acme", PLAN, 3])),
        ("plan", message("chimera.submit", [], {"tenant_id": "acme", "planner": "p", "inputs": {"a": 1}})),
        ("plan", message("mine", ["whatever", {"a": 1}], {"b": 2})),
    ],
)
def test_a_message_of_ours_comes_in(queue: str, raw: bytes) -> None:
    assert fault(raw, queue, TASKS) is None


@pytest.mark.parametrize(
    ("reason", "raw"),
    [
        ("too_large", b" " * (MAX_BYTES + 1)),
        ("not_a_message", b""),
        ("not_a_message", b"\xff\xfe\x00"),
        ("not_a_message", b"null"),
        ("not_a_message", b"[1, 2]"),
        ("not_a_message", b'{"body": "x"}'),
        ("not_a_message", b"[" * 100_000),
        ("not_a_message", message(body="not base64!")),
        ("not_a_message", message(body=b64encode(b"[[], {}]").decode())),
        ("not_a_message", message(body=b64encode(b"{}").decode())),
        ("not_a_message", message(content_type="application/x-python-serialize")),
        ("not_a_message", message(content_encoding="binary")),
        ("not_a_message", message(headers=None)),
        ("not_a_message", message(headers__id=7)),
        ("not_a_message", message(headers__timelimit="soon")),
        ("not_a_message", message(headers__eta="never")),
        ("not_a_message", message(headers__retries=-1)),
        ("not_a_message", message(properties__delivery_tag=None)),
        ("not_a_message", message(properties__delivery_info="x")),
        ("not_a_message", message(properties__body_encoding="rot13")),
        ("not_a_message", message(headers__id="canary")),
        ("not_a_message", message(headers__shadow="canary")),
        ("unknown_task", message("os.system", ["rm"])),
        ("wrong_queue", message("celery.map", [])),
        ("unknown_task", message("chimera.admin", [])),
        ("wrong_arguments", message(arguments=[])),
        ("wrong_arguments", message(arguments=["acme", PLAN, "0", [uuid4().hex], 10.0])),
        ("wrong_arguments", message(arguments=["../acme", *WORK[1:]])),
        ("wrong_arguments", message(arguments=["acme", PLAN, 0, [], 10.0])),
        ("wrong_arguments", message(arguments=["acme", PLAN, 0, ["x"], 10.0])),
        ("wrong_arguments", message(arguments=["acme", PLAN, 0, [uuid4().hex], -1])),
        ("wrong_arguments", message(arguments=[*WORK, "more"])),
        ("wrong_arguments", message(options={"tenant_id": "globex"})),
        ("wrong_arguments", message("chimera.sweep", [1])),
        ("wrong_arguments", message("chimera.sweep", ["acme"])),
        ("wrong_arguments", message("chimera.dispatch", [])),
        ("wrong_arguments", message("chimera.dispatch", ["../acme"])),
        ("wrong_arguments", message("chimera.submit", [1], {"tenant_id": "acme", "planner": "p"})),
        ("wrong_arguments", message("chimera.submit", [], {"tenant_id": "acme", "planner": "p", "more": 1})),
        ("wrong_arguments", message("chimera.submit", [], {"tenant_id": "acme"})),
        ("wrong_queue", message(arguments=["globex", *WORK[1:]])),
        ("wrong_queue", message("chimera.judge", ["acme", PLAN, 0])),
        ("wrong_queue", message("chimera.submit", [], {"tenant_id": "acme", "planner": "p"})),
    ],
)
def test_what_is_none_stays_outside(reason: str, raw: bytes) -> None:
    assert fault(raw, "tenant.acme", TASKS) == reason


def test_nobody_else_s_task_runs_with_the_judge_s_credentials() -> None:
    assert fault(message("mine", []), "judge", TASKS) == "wrong_queue"


def test_a_plan_by_beat_may_bring_its_inputs() -> None:
    large = message("chimera.submit", [], {"tenant_id": "acme", "planner": "p", "inputs": {"a": "x" * MAX_BYTES}})
    assert fault(large, "plan", TASKS) is None
    assert fault(large, "judge", TASKS) == "too_large"


def test_chimera_s_queues_are_guarded_and_no_others() -> None:
    guarded = [is_guarded(queue) for queue in ("plan", "judge", "tenant.acme", "mine", "x.reply.celery.pidbox")]
    assert guarded == [True, True, True, False, False]
