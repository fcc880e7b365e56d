"""Running one skill once: within its timeout, whatever it does, to an outcome that can be staged."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import cache
from typing import Any

from pydantic import ValidationError

from chimera.models.record import canonical_json
from chimera.models.work.result import (
    NO_USAGE,
    FailureOutcome,
    SuccessOutcome,
    Usage,
    reported_confidence,
)
from chimera.models.work.skill import Skill, SkillFailed, Success, describe
from chimera.services.time_limit import TimeIsUp, alarm

# A message is for people; the whole of an exception that quotes its input is of no use to them.
MAX_MESSAGE_CHARACTERS = 2000


# What `Lease.ending_with` is: while inside, the callable given to it ends the call from another thread.
EndingWith = Callable[[Callable[[], None]], AbstractContextManager[None]]


def _never(_end: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


def execute(
    skill: Skill[..., Any], text: str, timeout_seconds: float, max_output_bytes: int, ending_with: EndingWith = _never
) -> tuple[str, Usage]:
    """Runs a skill on the JSON text of its arguments; returns its outcome as canonical JSON, and what it cost.

    Never raises for what the skill does: an exception, an overrun, an output of the wrong type or size
    become a failure outcome. A call that is ended from outside looks like an overrun.
    """
    try:
        arguments = skill.load_input(text)
    except ValidationError as exc:
        return _failure("invalid_input", describe(exc), retryable=False), NO_USAGE
    try:
        answer = _call(skill, arguments, timeout_seconds, ending_with)
    except TimeIsUp:
        return _failure("timeout", f"ran longer than {timeout_seconds:g} s", retryable=True), NO_USAGE
    except SkillFailed as exc:
        return _told_failure(exc, max_output_bytes), _usage(exc.usage)
    except BaseException as exc:  # noqa: BLE001  whatever a skill raises is its outcome, SystemExit too
        code = "timeout" if isinstance(exc, TimeoutError) else "skill_raised"
        return _failure(code, describe_exception(exc), retryable=True), NO_USAGE
    return _success(skill, answer if isinstance(answer, Success) else Success(answer), max_output_bytes)


def describe_exception(exc: BaseException) -> str:
    """`ValueError: its message`, also where asking for the message raises."""
    try:
        message = str(exc)
    except Exception:  # noqa: BLE001  an exception's __str__ is user code as well
        message = "(its message cannot be read)"
    return f"{type(exc).__name__}: {message}"


def _success(skill: Skill[..., Any], answer: Success[Any], max_output_bytes: int) -> tuple[str, Usage]:
    usage = _usage(answer.usage)
    try:
        outcome = SuccessOutcome(
            output=skill.dump_output(answer.output),
            confidence=reported_confidence(answer.confidence),
            reasoning=answer.reasoning,
            evidence=tuple(answer.evidence),
            tools=tuple(answer.tools),
            effects=tuple(answer.effects),
        )
        text = canonical_json(outcome.model_dump(mode="python"))
    except ValidationError as exc:
        return _failure("wrong_type", describe(exc), retryable=False), usage
    except (TypeError, ValueError, RecursionError) as exc:
        message = f"the output cannot be written as JSON: {describe_exception(exc)}"
        return _failure("not_json", message, retryable=False), usage
    except Exception as exc:  # noqa: BLE001  validators and iterators of the output are user code as well
        return _failure("wrong_type", describe_exception(exc), retryable=False), usage
    try:
        skill.check_output(outcome.output)  # as the Judge will: what it could not read is a failure here
    except ValidationError as exc:
        return _failure("not_json", f"the output does not come back from JSON: {describe(exc)}", retryable=False), usage
    if len(text) > max_output_bytes:
        message = f"{len(text)} bytes of JSON, and at most {max_output_bytes} are taken (CHIMERA_MAX_OUTPUT_BYTES)"
        return _failure("output_too_large", message, retryable=False), usage
    return text, usage


def _usage(reported: object) -> Usage:
    """What the skill says that it used, where it says so in the right form."""
    return reported if isinstance(reported, Usage) else NO_USAGE


def _told_failure(exc: SkillFailed, max_output_bytes: int) -> str:
    """What the skill said, as far as it can be stored: details that are no JSON or too large are left out."""
    code: object = exc.code
    retryable: object = exc.retryable
    told = {
        "code": code if isinstance(code, str) and code else "skill_failed",
        "message": readable(describe_exception(exc).removeprefix(f"{type(exc).__name__}: ")),
        "retryable": retryable if isinstance(retryable, bool) else True,
    }
    try:
        text = canonical_json(FailureOutcome.model_validate(told | {"details": exc.details}).model_dump(mode="json"))
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not text or len(text) > max_output_bytes:
        text = canonical_json(FailureOutcome.model_validate(told).model_dump(mode="json"))
    return text


def _failure(code: str, message: str, *, retryable: bool) -> str:
    outcome = FailureOutcome(code=code, message=readable(message), retryable=retryable)
    return canonical_json(outcome.model_dump(mode="json"))


def readable(message: str) -> str:
    """A message that can be stored: not too long, without half characters."""
    return message[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()


def _call(skill: Skill[..., Any], arguments: dict[str, Any], timeout_seconds: float, ending_with: EndingWith) -> Any:
    if skill.is_async:
        return _on_event_loop(skill.function(**arguments), timeout_seconds, ending_with)
    if threading.current_thread() is threading.main_thread():
        with alarm(timeout_seconds) as ring, ending_with(ring):
            return _resolved(skill.function(**arguments), timeout_seconds)
    return _in_thread(lambda: _resolved(skill.function(**arguments), timeout_seconds), timeout_seconds, ending_with)


def _resolved(answer: Any, timeout_seconds: float) -> Any:
    """The answer of a plain function, or of the coroutine that a wrapped async function returned."""
    return _on_event_loop(answer, timeout_seconds, _never) if inspect.iscoroutine(answer) else answer


def _in_thread(call: Callable[[], Any], timeout_seconds: float, ending_with: EndingWith) -> Any:
    """Calls in a thread that is left alone after the timeout: the threads pool has no way to end a call.

    A daemon, so that a call which never ends does not keep the process from ending.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as exc:  # noqa: BLE001  it is raised again where the answer is waited for
            future.set_exception(exc)

    # With the context of this thread: it is where the skill asks for its task.
    context = copy_context()
    threading.Thread(target=context.run, args=(run,), name="chimera-skill", daemon=True).start()
    if not _is_done_in_time(future, timeout_seconds, ending_with):
        raise TimeIsUp
    return future.result()


def _is_done_in_time(future: Future[Any], timeout_seconds: float, ending_with: EndingWith) -> bool:
    over = threading.Event()
    future.add_done_callback(lambda _: over.set())
    with ending_with(over.set):
        over.wait(timeout_seconds)
    return future.done()


@cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """The one event loop of this process, in a thread of its own: async clients can be kept between tasks."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="chimera-async-skills", daemon=True).start()
    return loop


async def _kept_in(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """The coroutine's answer, or what would have ended the event loop's thread for all that come later."""
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as exc:
        return None, exc


def _on_event_loop(coroutine: Coroutine[Any, Any, Any], timeout_seconds: float, ending_with: EndingWith) -> Any:
    future = asyncio.run_coroutine_threadsafe(_kept_in(coroutine), _event_loop())
    if not _is_done_in_time(future, timeout_seconds, ending_with):
        future.cancel()
        raise TimeIsUp
    answer, left_with = future.result()
    if left_with is not None:
        raise left_with
    return answer
