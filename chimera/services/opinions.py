"""Asking a model about what the rules would approve."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait

import structlog

from chimera.models.gate.gate import Staged
from chimera.models.gate.opinion import Opinion, opinion_schema, prompt_text, read_opinion, system_text
from chimera.models.gate.policy import LlmJudge
from chimera.models.ids import IdKind, format_id
from chimera.ports.clock import Clock
from chimera.ports.llm import Llm, LlmRequest

log = structlog.get_logger(__name__)

# Results that a Judge asks about at the same time.
AT_ONCE = 16


class Opinions:
    """Asks about several results at a time; what is no opinion, or too late, is None."""

    def __init__(self, llm: Llm | None, clock: Clock) -> None:
        self._llm = llm
        self._clock = clock

    def of(self, judge: LlmJudge, results: Sequence[Staged]) -> list[Opinion | None]:
        """What the model thinks of each result; takes no longer than the policy's timeout."""
        asked = [self._asked(judge, staged) for staged in results]
        wait(asked, timeout=judge.timeout_seconds)
        return [future.result() if future.done() else None for future in asked]

    def _asked(self, judge: LlmJudge, staged: Staged) -> "Future[Opinion | None]":
        """In a thread of its own, which is left alone when it takes too long and keeps no process from ending."""
        future: Future[Opinion | None] = Future()
        thread = threading.Thread(
            target=lambda: future.set_result(self._opinion(judge, staged)), name="chimera-opinion", daemon=True
        )
        thread.start()
        return future

    def _opinion(self, judge: LlmJudge, staged: Staged) -> Opinion | None:
        if self._llm is None:
            log.warning("no_model", model=judge.model)
            return None
        nonce = self._clock.new_id().hex
        request = LlmRequest(
            purpose="judge",
            model=judge.model,
            system=system_text(judge, staged, nonce),
            prompt=prompt_text(staged, nonce),
            output_schema=opinion_schema(),
            timeout_seconds=judge.timeout_seconds,
            idempotency_key=f"{staged.task_id.hex}:{staged.attempt}:judge",
        )
        try:
            answer = self._llm.complete(request)
        except Exception as exc:  # noqa: BLE001  whatever an adapter raises, a person decides
            log.warning("no_opinion", error=type(exc).__name__, task_id=format_id(IdKind.TASK, staged.task_id))
            return None
        return read_opinion(answer.output, staged, nonce)
