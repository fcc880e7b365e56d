"""A model that says what it is told to."""

import json
import threading
from collections.abc import Callable
from typing import Any

from chimera.models.gate.opinion import Opinion
from chimera.ports import llm as port
from chimera.ports.llm import LlmAnswer, LlmRequest

Script = Callable[[LlmRequest], Any]


class FakeLlm(port.Llm):
    """Answers with what its script returns, or raises what that raises; keeps what it was asked."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.requests: list[LlmRequest] = []

    def complete(self, request: LlmRequest) -> LlmAnswer:
        with self._lock:
            self.requests.append(request)
        return LlmAnswer(output=self._script(request))


def opinion(request: LlmRequest, **fields: str) -> dict[str, Any]:
    """A right answer to the question, as a model gives it: with what the system text told it to repeat."""
    told = dict(
        line.split(": ", 1) for line in request.system.splitlines() if line.startswith(("nonce: ", "result_sha"))
    )
    values = {"verdict": "approve", "category": "fine", "nonce": told["nonce"], "result_sha256": told["result_sha256"]}
    made: dict[str, Any] = json.loads(json.dumps(values | fields))
    assert set(made) == set(Opinion.model_fields)
    return made
