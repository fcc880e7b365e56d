"""Running one skill, or several async ones at once: within their time, to outcomes that can be staged."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

import structlog
from pydantic import ValidationError

from chimera.models.record import canonical_json, read_json
from chimera.models.text.quoted_inputs import hide_inputs
from chimera.models.work.json_schema import UNCHECKED
from chimera.models.work.result import (
    INVALID_RESULT,
    MAX_CODE_CHARACTERS,
    NO_USAGE,
    FailureOutcome,
    SuccessOutcome,
    Usage,
    read_outcome,
    readable,
    reported_confidence,
)
from chimera.models.work.signature import describe
from chimera.models.work.skill import Skill, SkillFailed, Success
from chimera.ports.skill_runner import EndingWith, Outcome
from chimera.services.calls import AsyncCall, Calls, never
from chimera.services.time_limit import TimeIsUp
from chimera.services.traces import trace

log = structlog.get_logger(__name__)

# A code is logged where it is a name, and not a text.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a skill."""

    skill: Skill[..., Any]
    # JSON text of the arguments.
    input: str
    timeout_seconds: float
    # Where the skill finds its task, and the log its ids.
    context: Context


class Execution:
    """Runs skills. Never raises for what a skill does.

    An exception, an overrun, an output of the wrong type or size become a failure outcome. A call that is ended
    from outside looks like an overrun. Failures are logged, without what they say.
    """

    def __init__(self, calls: Calls, max_output_bytes: int) -> None:
        self._calls = calls
        self._max_output_bytes = max_output_bytes

    def run(self, call: Call, ending_with: EndingWith = never) -> Outcome:
        """Runs a skill that is no async function."""
        return call.context.run(self._run, call, ending_with)

    def run_together(self, calls: Sequence[Call], ending_with: EndingWith = never) -> Iterator[tuple[int, Outcome]]:
        """Runs async skills at the same time; yields place and outcome of each as they come.

        Each has its own time. Where all are ended from outside, those that are not over yet yield nothing.
        """
        # Places of calls that are over, and when that was; None: all are to be ended.
        over: SimpleQueue[tuple[int, float] | None] = SimpleQueue()
        running: dict[int, AsyncCall] = {}
        until: dict[int, float] = {}
        with ending_with(lambda: over.put(None)):
            try:
                for place, call in enumerate(calls):
                    begun = call.context.run(self._begin, call)
                    if isinstance(begun, AsyncCall):
                        running[place], until[place] = begun, monotonic() + call.timeout_seconds
                        begun.when_over(_teller(over, place))
                    else:
                        yield place, begun
                while running:
                    first = min(until[place] for place in running)
                    try:
                        told = over.get(timeout=max(0.0, first - monotonic()))
                    except Empty:
                        late = min(running, key=until.__getitem__)
                        self._calls.end(running[late])
                        told = late, monotonic()
                    if told is None:
                        return
                    place, ended_at = told
                    if (done := running.pop(place, None)) is not None:
                        answer = done.answer if ended_at < until[place] else _overrun
                        yield place, calls[place].context.run(self._outcome, calls[place], answer)
            finally:
                for left in running.values():
                    left.cancel()

    def _begin(self, call: Call) -> AsyncCall | Outcome:
        arguments = _arguments(call)
        if isinstance(arguments, Outcome):
            return arguments
        return self._calls.begin(call.skill.function(**arguments))

    def _run(self, call: Call, ending_with: EndingWith) -> Outcome:
        arguments = _arguments(call)
        if isinstance(arguments, Outcome):
            return arguments

        def answer() -> Any:
            return self._calls.call(lambda: call.skill.function(**arguments), call.timeout_seconds, ending_with)

        return self._outcome(call, answer)

    def _outcome(self, call: Call, answer: Callable[[], Any]) -> Outcome:
        """The outcome of an answer, or of an error that is raised in its place."""
        try:
            answered = answer()
        except TimeIsUp as exc:
            return _failure("timeout", f"ran longer than {call.timeout_seconds:g} s", retryable=True, exc=exc)
        except SkillFailed as exc:
            return _told_failure(exc, self._max_output_bytes)
        except BaseException as exc:  # noqa: BLE001  whatever a skill raises is its outcome, SystemExit too
            code = "timeout" if isinstance(exc, TimeoutError) else "skill_raised"
            return _failure(code, describe_exception(exc), retryable=True, exc=exc)
        success = answered if isinstance(answered, Success) else Success(answered)
        return _success(call.skill, success, self._max_output_bytes)


def _teller(over: SimpleQueue[tuple[int, float] | None], place: int) -> Callable[[], None]:
    return lambda: over.put((place, monotonic()))


def _overrun() -> Any:
    raise TimeIsUp


def _arguments(call: Call) -> dict[str, Any] | Outcome:
    """The arguments, or the failure that there are none."""
    try:
        return call.skill.load_input(call.input)
    except ValidationError as exc:
        return _failure("invalid_input", describe(exc), retryable=False)


def describe_exception(exc: BaseException) -> str:
    """`ValueError: its message`, without values that pydantic quotes, also where asking for the message raises."""
    try:
        message = hide_inputs(str(exc))
    except Exception:  # noqa: BLE001  an exception's __str__ is user code as well
        message = "(its message cannot be read)"
    return f"{type(exc).__name__}: {message}"


def _success(skill: Skill[..., Any], answer: Success[Any], max_output_bytes: int) -> Outcome:
    usage: Usage | None = None
    try:
        usage = _usage(answer.usage)
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
        code = INVALID_RESULT if usage is None else "wrong_type"
        return _failure(code, describe(exc), retryable=False, exc=exc, usage=usage)
    except (TypeError, ValueError, RecursionError) as exc:
        message = f"the output cannot be written as JSON: {describe_exception(exc)}"
        return _failure("not_json", message, retryable=False, exc=exc, usage=usage)
    except BaseException as exc:  # noqa: BLE001  validators and iterators of the output are user code as well
        return _failure("wrong_type", describe_exception(exc), retryable=False, exc=exc, usage=usage)
    if (fault := _fault(skill, text, max_output_bytes)) is not None:
        return _failure(*fault, retryable=False, usage=usage)
    return Outcome(text, usage, failed=False)


def _fault(skill: Skill[..., Any], text: str, max_output_bytes: int) -> tuple[str, str] | None:
    """What the Judge could not take of an outcome, as a failure's code and message; None where it can take it."""
    if len(text) > max_output_bytes:
        return (
            "output_too_large",
            f"{len(text)} bytes of JSON, and at most {max_output_bytes} are taken (CHIMERA_MAX_OUTPUT_BYTES)",
        )
    try:
        fault = skill.output_fault(read_json(text)["output"], len(text))
    except ValueError as exc:
        return INVALID_RESULT, f"the result is none that is taken: {exc}"
    if fault not in {None, UNCHECKED}:
        return "not_json", f"the output does not come back from JSON: {fault} of its JSON Schema"
    return None


def _usage(reported: object) -> Usage:
    """What the skill says that it used, where it says so in the right form: looked at again, however it was made.

    Raises:
        pydantic.ValidationError: it holds what no usage can.
    """
    if reported is NO_USAGE or not isinstance(reported, Usage):
        return NO_USAGE
    return Usage(tokens=reported.tokens, cost_usd=reported.cost_usd)


def _told_failure(exc: SkillFailed, max_output_bytes: int) -> Outcome:
    """What the skill said, as far as it can be stored: details that are no JSON or too large are left out."""
    code: object = exc.code
    retryable: object = exc.retryable
    told = {
        "code": readable(code)[:MAX_CODE_CHARACTERS] if isinstance(code, str) and code else "skill_failed",
        "message": readable(describe_exception(exc).removeprefix(f"{type(exc).__name__}: ")),
        "retryable": retryable if isinstance(retryable, bool) else True,
    }
    try:
        usage = _usage(exc.usage)
    except ValidationError as invalid:
        return _failure(INVALID_RESULT, describe(invalid), retryable=False, exc=exc)
    try:
        text = canonical_json(FailureOutcome.model_validate(told | {"details": exc.details}).model_dump(mode="json"))
        read_outcome(text)
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not text or len(text) > max_output_bytes:
        text = canonical_json(FailureOutcome.model_validate(told).model_dump(mode="json"))
    _log(str(told["code"]), exc)
    return Outcome(text, usage, failed=True)


def _failure(
    code: str, message: str, *, retryable: bool, exc: BaseException | None = None, usage: Usage | None = None
) -> Outcome:
    _log(code, exc)
    return Outcome.of_failure(code, readable(message), retryable=retryable, usage=usage or NO_USAGE)


def _log(code: str, exc: BaseException | None) -> None:
    """What failed where. Not what it says: that may quote what the task handles."""
    named = code if _CODE.fullmatch(code) else "(no name)"
    log.warning("skill_failed", code=named, **({} if exc is None else {"trace": trace(exc)}))
