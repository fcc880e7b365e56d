"""Messages that are nearly valid: made of valid ones, by chance, the same for the same seed."""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any
from uuid import UUID

from chimera.adapters.celery.envelope import sign
from chimera.adapters.celery.signer import Signer

Whole = dict[str, Any]

_DEEP: list[Any] = []
for _ in range(60):
    _DEEP = [_DEEP]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    5,
    10**30,
    10**4200,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "x" * 2000,
    "\x00\x1b[2J",
    "%(name)s",
    "../acme",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "celery.map",
    "chimera.judge",
    [],
    [1],
    {},
    {"x": 1},
    [{"x": 1}],
    [["x"] * 50] * 20,
    _DEEP,
]
NAMES = [
    *("stamps", "stamped_headers", "callbacks", "errbacks", "chain", "chord", "link", "timelimit", "reply_to", "eta"),
    *("compression", "ignore_result", "argsrepr", "meth", "shadow", "origin", "delivery_info", "priority", "group"),
    *("retries", "expires", "args", "kwargs", "clock", "redelivered", "redeliveries", "hostname", "properties", "x"),
]


class Mutator:
    """Makes them for one queue; a few of what it makes are still valid."""

    def __init__(self, seed: int, queue: str, signer: Signer, valid: list[bytes]) -> None:
        self._draw = random.Random(seed)
        self._queue = queue
        self._signer = signer
        self._valid = valid
        self._ways: list[Callable[[Whole], bytes]] = [
            self._flipped,
            self._cut,
            self._doubled,
            self._of_another_key,
            self._of_another_queue,
            lambda whole: _bytes(self._changed(whole)),
            lambda whole: _bytes(self._with_more(whole)),
            lambda whole: _bytes(self._body_changed(whole)),
            lambda whole: self._signed(self._changed(whole)),
            lambda whole: self._signed(self._with_more(whole)),
            lambda whole: self._signed(self._body_changed(whole)),
            lambda whole: self._signed(self._body_changed(self._changed(whole))),
        ]

    def next(self) -> bytes:
        """The next one."""
        whole = json.loads(self._draw.choice(self._valid))
        return self._draw.choice(self._ways)(whole)

    def _odd(self) -> Any:
        return deepcopy(self._draw.choice(ODD))

    def _flipped(self, whole: Whole) -> bytes:
        raw = bytearray(_bytes(whole))
        for _ in range(self._draw.randint(1, 6)):
            raw[self._draw.randrange(len(raw))] ^= 1 << self._draw.randrange(8)
        return bytes(raw)

    def _cut(self, whole: Whole) -> bytes:
        raw = _bytes(whole)
        start, end = sorted((self._draw.randrange(len(raw)), self._draw.randrange(len(raw))))
        return self._draw.choice([raw[:end], raw[start:], raw[:start] + raw[end:], raw + raw[start:end]])

    def _doubled(self, whole: Whole) -> bytes:
        """A key that is there twice: whoever reads it may take either."""
        key = self._draw.choice(['"task": ', '"id": ', '"headers": ', '"body": ', '"properties": ', '"retries": '])
        return _bytes(whole).replace(key.encode(), f"{key}{_json(self._odd())}, {key}".encode(), 1)

    def _of_another_key(self, whole: Whole) -> bytes:
        sign(whole, Signer([self._draw.randbytes(32)]), self._queue)
        return _bytes(whole)

    def _of_another_queue(self, whole: Whole) -> bytes:
        sign(whole, self._signer, self._draw.choice(["plan", "judge", "tenant.acme", "tenant.globex"]) + "x")
        return _bytes(whole)

    def _changed(self, part: Any) -> Any:
        """With something somewhere in it replaced, or gone."""
        holders = [part, *_holders(part)]
        for _ in range(self._draw.choice([1, 1, 2, 5])):
            holder = self._draw.choice(holders)
            if not holder:
                continue
            place = self._draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if self._draw.random() < 0.2:
                del holder[place]
            else:
                holder[place] = self._odd()
        return part

    def _with_more(self, whole: Whole) -> Whole:
        holders = [whole, whole["headers"], whole["properties"]]
        for _ in range(self._draw.randint(1, 4)):
            self._draw.choice(holders)[self._draw.choice(NAMES)] = self._odd()
        return whole

    def _body_changed(self, whole: Whole) -> Whole:
        with suppress(KeyError, TypeError, ValueError):
            body = self._changed(json.loads(b64decode(whole["body"])))
            whole["body"] = b64encode(_json(body).encode()).decode()
        return whole

    def _signed(self, whole: Any) -> bytes:
        """Signed with the right key, as one who has it can, where it can be signed."""
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            whole["headers"].setdefault("id", str(UUID(int=self._draw.getrandbits(128))))
            sign(whole, self._signer, self._queue)
        return _bytes(whole)


def _holders(part: Any) -> list[Any]:
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [each for value in inner if isinstance(value, dict | list) for each in (value, *_holders(value))]


def _json(value: Any) -> str:
    return json.dumps(value)


def _bytes(whole: Any) -> bytes:
    return _json(whole).encode()
