"""What may come in, message by message."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from chimera.adapters.celery.door import MAX_BYTES, MAX_REDELIVERIES, Refused, is_guarded, let_in
from chimera.adapters.celery.envelope import SIGNATURE, sign
from chimera.adapters.celery.messages import MESSAGES, REDACTED
from chimera.adapters.celery.signer import Signer
from chimera.errors import SettingsMissing

TASKS = {"celery.map", "mine", *MESSAGES}
PLAN = uuid4().hex
WORK = ["acme", PLAN, 0, [uuid4().hex], 10.0]
SIGNER = Signer([bytes(range(32))])


def message(
    task: str = "chimera.work",
    arguments: Any = None,
    options: Any = None,
    *,
    queue: str = "tenant.acme",
    signer: Signer | None = SIGNER,
    embed: Any = None,
    **changes: Any,
) -> bytes:
    """A message as Celery sends it; `changes` replace parts of it, by their names with __ for the way there.

    It is signed for its queue, where it could be, unless there is no signer.
    """
    body = [WORK if arguments is None else arguments, options or {}, embed or {"callbacks": None, "chord": None}]
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
    if signer is not None:
        with suppress(ValueError, TypeError, KeyError):
            sign(whole, signer, queue)
    return json.dumps(whole).encode()


def fault(raw: bytes, queue: str, registered: Iterable[str]) -> str | None:
    """Why a message is refused; None where it is let in."""
    try:
        let_in(raw, queue, set(registered), SIGNER)
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize(
    ("queue", "raw"),
    [
        ("tenant.acme", message()),
        ("tenant.acme", message(headers__eta="2026-11-21T00:00:00+00:00", headers__timelimit=[None, 1.5])),
        ("judge", message("chimera.judge", ["acme", PLAN, 3], queue="judge")),
        ("judge", message("chimera.stop", ["acme", PLAN], queue="judge")),
        ("judge", message("chimera.dispatch", ["acme"], queue="judge")),
        ("judge", message("chimera.sweep", [], queue="judge")),
        ("plan", message("chimera.plan", ["acme", PLAN], queue="plan")),
        ("plan", message("chimera.replan", ["acme", PLAN, 3], queue="plan")),
        (
            "plan",
            message("chimera.submit", [], {"tenant_id": "acme", "planner": "p", "inputs": {"a": 1}}, queue="plan"),
        ),
        ("plan", message("mine", ["whatever", {"a": 1}], {"b": 2}, queue="plan")),
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
    assert fault(message("mine", [], queue="judge"), "judge", TASKS) == "wrong_queue"


def test_a_plan_by_beat_may_bring_its_inputs() -> None:
    inputs = {"a": "x" * MAX_BYTES}
    large = message("chimera.submit", [], {"tenant_id": "acme", "planner": "p", "inputs": inputs}, queue="plan")
    assert fault(large, "plan", TASKS) is None
    assert fault(large, "judge", TASKS) == "too_large"


def test_chimera_s_queues_are_guarded_and_no_others() -> None:
    guarded = [is_guarded(queue) for queue in ("plan", "judge", "tenant.acme", "mine", "x.reply.celery.pidbox")]
    assert guarded == [True, True, True, False, False]


CHORD: dict[str, Any] = {
    "task": "chimera.judge",
    "args": ["acme", PLAN, 0],
    "kwargs": {},
    "options": {"queue": "judge", "task_id": str(uuid4()), "group_id": "elsewhere", "link": [{"x": 1}], "stamps": 5},
    "subtask_type": None,
    "immutable": True,
}
GROUP = str(uuid4())


def rebuilt(raw: bytes, queue: str = "tenant.acme", signer: Signer = SIGNER) -> tuple[dict[str, Any], list[Any]]:
    """A message as it is let in, and its body."""
    whole: dict[str, Any] = json.loads(let_in(raw, queue, TASKS, signer).raw)
    return whole, json.loads(b64decode(whole["body"]))


def test_what_is_let_in_is_made_of_what_is_known_alone() -> None:
    extra = {"stamps": 5, "stamped_headers": ["x"], "origin": "x" * 1000, "meth": "x", "compression": "zlib", "x": 1}
    raw = json.loads(message(headers__argsrepr="x" * 8000))
    raw["headers"] |= extra
    raw["properties"] |= {"reply_to": "x", "correlation_id": "x", "delivery_info": {"exchange": "x"}, "x": 1}
    whole, body = rebuilt(json.dumps(raw).encode())
    headers, properties = whole["headers"], whole["properties"]
    assert body == [WORK, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    assert {name: headers.get(name) for name in extra} == dict.fromkeys(extra) | {"stamps": {}, "origin": ""}
    assert (headers["argsrepr"], headers["kwargsrepr"]) == (REDACTED, REDACTED)
    assert properties["delivery_tag"] != raw["properties"]["delivery_tag"]
    assert (properties["reply_to"], properties["correlation_id"]) == ("", headers["id"])
    assert properties["delivery_info"] == {
        "exchange": "",
        "routing_key": "tenant.acme",
        "redelivered": False,
        "redeliveries": 0,
    }
    assert not {"x", "meth", "compression"} & (headers.keys() | properties.keys())


def test_a_wave_s_judge_follows_its_batch_and_nothing_else_does() -> None:
    _, body = rebuilt(message(embed={"chord": CHORD}, headers__group=GROUP, headers__group_index=1))
    assert body[2]["chord"]["options"] == {
        "queue": "judge",
        "ignore_result": True,
        "argsrepr": REDACTED,
        "kwargsrepr": REDACTED,
        "task_id": CHORD["options"]["task_id"],
        "group_id": GROUP,
    }


@pytest.mark.parametrize(
    "embed",
    [
        {"callbacks": [CHORD]},
        {"errbacks": [CHORD]},
        {"chain": [CHORD]},
        {"chord": CHORD, "callbacks": [CHORD]},
        {"chord": CHORD | {"task": "chimera.sweep"}},
        {"chord": CHORD | {"args": ["globex", PLAN, 0]}},
        {"chord": CHORD | {"kwargs": {"wave_no": 1}}},
    ],
)
def test_nothing_else_follows_a_batch(embed: Any) -> None:
    raw = message(embed=embed, headers__group=GROUP, headers__group_index=1)
    assert fault(raw, "tenant.acme", TASKS) == "wrong_arguments"


def test_what_comes_in_twice_is_let_in_again() -> None:
    once = let_in(message(embed={"chord": CHORD}, headers__group=GROUP), "tenant.acme", TASKS, SIGNER)
    again = let_in(once.raw, "tenant.acme", TASKS, SIGNER)
    assert again.tag != once.tag
    first, second = json.loads(once.raw), json.loads(again.raw)
    for whole in (first, second):
        del whole["properties"]["delivery_tag"]
    assert first == second


def test_what_comes_again_and_again_stays_outside() -> None:
    for times in range(MAX_REDELIVERIES):
        assert fault(message(properties__delivery_info={"redeliveries": times}), "tenant.acme", TASKS) is None
    raw = message(properties__delivery_info={"redeliveries": MAX_REDELIVERIES})
    assert fault(raw, "tenant.acme", TASKS) == "redelivered"


# Each is signed, and then something else.
FORGED = {
    "no signature": lambda: message(signer=None),
    "another key": lambda: message(signer=Signer([b"k" * 32])),
    "another queue": lambda: message("mine", [], queue="plan"),
    "another id": lambda: changed("headers", "id", uuid4().hex),
    "another task": lambda: changed("headers", "task", "mine"),
    "more retries": lambda: changed("headers", "retries", 3),
    "another time limit": lambda: changed("headers", "timelimit", [5000, None]),
    "another eta": lambda: changed("headers", "eta", "2027-11-21T00:00:00+00:00"),
    "another priority": lambda: changed("properties", "priority", 9),
    "another group": lambda: changed("headers", "group", GROUP),
    "other arguments": lambda: changed(None, "body", json.loads(message(arguments=[*WORK[:4], 11.0]))["body"]),
    "half a signature": lambda: changed("headers", SIGNATURE, json.loads(message())["headers"][SIGNATURE][:32] * 2),
}


def changed(part: str | None, name: str, value: Any) -> bytes:
    whole = json.loads(message())
    (whole if part is None else whole[part])[name] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize("how", FORGED)
def test_what_nobody_with_a_key_sent_stays_outside(how: str) -> None:
    assert fault(FORGED[how](), "tenant.acme", TASKS) == "unsigned"


def test_keys_are_exchanged_one_after_the_other() -> None:
    old, new = bytes(range(32)), bytes(range(32, 64))
    signed = message(signer=Signer([old]))
    whole, _ = rebuilt(signed, signer=Signer([new, old]))
    # What is put back into its queue is signed with the new one.
    assert rebuilt(json.dumps(whole).encode(), signer=Signer([new]))
    with pytest.raises(Refused, match="unsigned"):
        let_in(signed, "tenant.acme", TASKS, Signer([new]))


def test_without_a_key_nothing_is_signed_and_nothing_let_in() -> None:
    with pytest.raises(SettingsMissing, match="openssl rand -hex 32"):
        message(signer=Signer())
    with pytest.raises(Refused, match="unsigned"):
        let_in(message(), "tenant.acme", TASKS, Signer())


def test_users_own_tasks_keep_what_they_send_along() -> None:
    follower = {"task": "mine.next", "args": [1], "kwargs": {"a": {"b": [2]}}, "options": {"queue": "mine"}}
    embed = {"callbacks": [follower], "errbacks": [follower], "chain": [follower], "chord": follower}
    changes: dict[str, Any] = {"headers__id": "my-id", "headers__shadow": "name", "headers__argsrepr": "(1,)"}
    whole, body = rebuilt(message("mine", [1], {"x": 2}, queue="plan", embed=embed, **changes), "plan")
    assert body[:2] == [[1], {"x": 2}]
    assert body[2]["callbacks"][0].items() >= follower.items()
    assert body[2]["chord"].items() >= follower.items()
    assert [whole["headers"][name] for name in ("id", "shadow", "argsrepr")] == ["my-id", "name", "(1,)"]
