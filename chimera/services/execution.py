"""Running one skill once: within its timeout, whatever it does, to an outcome that can be staged."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from pydantic import ValidationError

from chimera.models.record import canonical_json
from chimera.models.result import (
    NO_USAGE,
    FailureOutcome,
    SuccessOutcome,
    Usage,
    reported_confidence,
)
from chimera.models.skill import Skill, SkillFailed, Success, describe
from chimera.services.time_limit import TimeIsUp, alarm

# A message is for people; the whole of an exception that quotes its input is of no use to them.
MAX_MESSAGE_CHARACTERS = 2000


def execute(skill: Skill[..., Any], text: str, timeout_seconds: float, max_output_bytes: int) -> tuple[str, Usage]:
    """Runs a skill on the JSON text of its arguments; returns its outcome as canonical JSON, and what it cost.

    Never raises for what the skill does: an exception, an overrun, an output of the wrong type or size
    become a failure outcome.
    """
    try:
        arguments = skill.load_input(text)
        answer = _call(skill, arguments, timeout_seconds)
    except ValidationError as exc:
        return _failure("invalid_input", describe(exc), retryable=False), NO_USAGE
    except (TimeIsUp, TimeoutError) as exc:
        message = f"ran longer than {timeout_seconds:g} s" if isinstance(exc, TimeIsUp) else f"TimeoutError: {exc}"
        return _failure("timeout", message, retryable=True), NO_USAGE
    except SkillFailed as exc:
        return _failure(exc.code, str(exc), retryable=exc.retryable, details=exc.details), NO_USAGE
    except (KeyboardInterrupt, SystemExit) as exc:
        return _failure("skill_raised", f"{type(exc).__name__}: {exc}", retryable=False), NO_USAGE
    except Exception as exc:  # noqa: BLE001  whatever a skill raises is its outcome
        return _failure("skill_raised", f"{type(exc).__name__}: {exc}", retryable=True), NO_USAGE
    return _success(skill, answer if isinstance(answer, Success) else Success(answer), max_output_bytes)


def _success(skill: Skill[..., Any], answer: Success[Any], max_output_bytes: int) -> tuple[str, Usage]:
    reported: object = answer.usage
    usage = reported if isinstance(reported, Usage) else NO_USAGE
    try:
        outcome = SuccessOutcome(
            output=skill.dump_output(answer.output),
            confidence=reported_confidence(answer.confidence),
            reasoning=answer.reasoning,
            evidence=tuple(answer.evidence),
        )
        text = canonical_json(outcome.model_dump(mode="python"))
    except ValidationError as exc:
        return _failure("wrong_type", describe(exc), retryable=False), usage
    except (TypeError, ValueError, RecursionError) as exc:
        return _failure("not_json", f"the output cannot be written as JSON: {exc}", retryable=False), usage
    if len(text) > max_output_bytes:
        message = f"{len(text)} bytes of JSON, and at most {max_output_bytes} are taken (CHIMERA_MAX_OUTPUT_BYTES)"
        return _failure("output_too_large", message, retryable=False), usage
    return text, usage


def _failure(code: str, message: str, *, retryable: bool, details: dict[str, Any] | None = None) -> str:
    message = message[:MAX_MESSAGE_CHARACTERS]
    try:
        outcome = FailureOutcome(code=code, message=message, retryable=retryable, details=details or {})
        return canonical_json(outcome.model_dump(mode="json"))
    except (TypeError, ValueError):
        # Details that are no JSON are worth less than the failure itself.
        outcome = FailureOutcome(code=code, message=message, retryable=retryable)
        return canonical_json(outcome.model_dump(mode="json"))


def _call(skill: Skill[..., Any], arguments: dict[str, Any], timeout_seconds: float) -> Any:
    if skill.is_async:
        return _on_event_loop(skill.function(**arguments), timeout_seconds)
    if threading.current_thread() is threading.main_thread():
        with alarm(timeout_seconds):
            return _resolved(skill.function(**arguments), timeout_seconds)
    return _in_thread(lambda: _resolved(skill.function(**arguments), timeout_seconds), timeout_seconds)


def _resolved(answer: Any, timeout_seconds: float) -> Any:
    """The answer of a plain function, or of the coroutine that a wrapped async function returned."""
    return _on_event_loop(answer, timeout_seconds) if inspect.iscoroutine(answer) else answer


def _in_thread(call: Callable[[], Any], timeout_seconds: float) -> Any:
    """Calls in a thread that is left alone after the timeout: the threads pool has no way to end a call."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chimera-skill")
    try:
        future = executor.submit(call)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout_seconds):
            raise TimeIsUp
        return future.result()
    finally:
        executor.shutdown(wait=False)


@cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """The one event loop of this process, in a thread of its own: async clients can be kept between tasks."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="chimera-async-skills", daemon=True).start()
    return loop


def _on_event_loop(coroutine: Coroutine[Any, Any, Any], timeout_seconds: float) -> Any:
    future = asyncio.run_coroutine_threadsafe(coroutine, _event_loop())
    try:
        return future.result(timeout_seconds)
    except TimeoutError:
        if future.done():
            raise  # the skill's own
        future.cancel()
        raise TimeIsUp from None
