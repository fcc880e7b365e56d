"""Running one skill: whatever it does, an outcome comes of it that can be staged."""

import asyncio
import functools
import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, field_validator

from chimera.models.gate.gate import Staged, gate
from chimera.models.gate.policy import Policy
from chimera.models.record import canonical_json
from chimera.models.work.result import MAX_MESSAGE_CHARACTERS, NO_USAGE, OUTCOME, FailureOutcome, SuccessOutcome, Usage
from chimera.models.work.skill import Skill, SkillFailed, Success
from chimera.services.calls import Calls, LeftBehind
from chimera.services.execution import Call, Execution
from tests.unit.declared import as_skill

MAX_BYTES = 1_000_000
SOON = 0.05
# In a call that nothing ends.
FOR_LONG = 60.0

Run = Callable[..., SuccessOutcome | FailureOutcome]


CALLS = Calls(LeftBehind(1000, lambda: None))


def execute(
    skill: Skill[..., Any], text: str, timeout_seconds: float, max_output_bytes: int, calls: Calls = CALLS
) -> tuple[str, Usage]:
    execution, call = Execution(calls, max_output_bytes), Call(skill, text, timeout_seconds, copy_context())
    if not skill.is_async:
        return execution.run(call)[:2]
    [(place, outcome)] = execution.run_together([call])
    assert place == 0
    return outcome[:2]


def executed(
    function: Callable[..., Any], *, timeout_seconds: float = 10.0, max_output_bytes: int = MAX_BYTES, **arguments: Any
) -> SuccessOutcome | FailureOutcome:
    text, _ = execute(as_skill(function), json.dumps(arguments), timeout_seconds, max_output_bytes)
    outcome = OUTCOME.validate_python(json.loads(text), strict=False)
    assert text == canonical_json(outcome.model_dump(mode="python")), "what is staged is canonical"
    return outcome


def succeeded(function: Callable[..., Any], **options: Any) -> SuccessOutcome:
    outcome = executed(function, **options)
    assert isinstance(outcome, SuccessOutcome), outcome
    return outcome


def failed(function: Callable[..., Any], **options: Any) -> FailureOutcome:
    outcome = executed(function, **options)
    assert isinstance(outcome, FailureOutcome), outcome
    return outcome


def in_main_thread(function: Callable[..., Any], **options: Any) -> FailureOutcome:
    assert threading.current_thread() is threading.main_thread()
    return failed(function, **options)


def in_another_thread(function: Callable[..., Any], **options: Any) -> FailureOutcome:
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(failed, function, **options).result()


EVERYWHERE = pytest.mark.parametrize("run", [in_main_thread, in_another_thread], ids=["main", "thread"])


# Answers.


def test_an_answer_is_the_output_without_a_confidence() -> None:
    def echo(text: str) -> dict[str, str]:
        return {"text": text}

    assert succeeded(echo, text="ü") == SuccessOutcome(output={"text": "ü"})


def test_an_answer_may_say_how_sure_it_is_and_why() -> None:
    def classify() -> Success[str]:
        return Success("bill", confidence=0.8, reasoning="it says invoice", evidence=["line 1", "line 2"])

    assert succeeded(classify) == SuccessOutcome(
        output="bill", confidence=0.8, reasoning="it says invoice", evidence=("line 1", "line 2")
    )


def test_nothing_is_an_answer_too() -> None:
    def nothing() -> None:
        pass

    assert succeeded(nothing) == SuccessOutcome(output=None)


def test_what_it_cost_is_told() -> None:
    usage = Usage(tokens=12, cost_usd=Decimal("0.003"))

    def ask() -> Success[str]:
        return Success("a", usage=usage)

    assert execute(as_skill(ask), "{}", 10, MAX_BYTES)[1] == usage


def test_a_cost_that_is_none_is_no_cost() -> None:
    def ask() -> Any:
        return Success("a", usage="much")  # type: ignore[arg-type]

    assert execute(as_skill(ask), "{}", 10, MAX_BYTES)[1] is NO_USAGE


@pytest.mark.parametrize("confidence", [math.nan, math.inf, "0.9", True, None, 10**400])
def test_a_confidence_that_is_no_number_is_none(confidence: Any) -> None:
    def answer() -> Success[str]:
        return Success("a", confidence=confidence)

    assert succeeded(answer).confidence is None


def test_a_confidence_out_of_range_is_left_to_the_gate() -> None:
    def answer() -> Success[str]:
        return Success("a", confidence=1.01)

    assert succeeded(answer).confidence == 1.01


def test_an_async_skill_answers_from_any_thread() -> None:
    async def ask(text: str) -> str:
        await asyncio.sleep(0)
        return text.upper()

    assert succeeded(ask, text="a").output == "A"
    with ThreadPoolExecutor(max_workers=1) as executor:
        assert executor.submit(succeeded, ask, text="b").result().output == "B"


def test_async_skills_share_one_event_loop() -> None:
    loops = set()

    async def ask() -> None:
        loops.add(asyncio.get_running_loop())

    succeeded(ask)
    succeeded(ask)
    assert len(loops) == 1


def test_an_async_function_behind_a_plain_decorator_answers_as_well() -> None:
    async def ask(text: str) -> str:
        return text.upper()

    @functools.wraps(ask)
    def traced(*args: Any, **kwargs: Any) -> Any:
        return ask(*args, **kwargs)

    assert succeeded(traced, text="a").output == "A"


# Inputs.


@pytest.mark.parametrize("text", ["", "{", "[]", '{"text":1}', '{"text":"a","more":1}', r'{"text":"\ud800"}'])
def test_an_input_that_does_not_fit_is_not_tried_again(text: str) -> None:
    def echo(text: str) -> str:
        raise AssertionError("it is not called")

    outcome = json.loads(execute(as_skill(echo), text, 10, MAX_BYTES)[0])
    assert (outcome["kind"], outcome["code"], outcome["retryable"]) == ("failure", "invalid_input", False)


# Exceptions.


class Odd(BaseException):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@EVERYWHERE
def test_an_exception_is_a_failure_to_try_again(run: Run) -> None:
    def broken() -> str:
        raise ValueError("no such row")

    assert run(broken) == FailureOutcome(code="skill_raised", message="ValueError: no such row", retryable=True)


@EVERYWHERE
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_skill_that_wants_to_end_the_process_fails_and_may_be_tried_again(
    run: Run, kind: type[BaseException]
) -> None:
    def leave() -> str:
        raise kind("now")

    assert run(leave) == FailureOutcome(code="skill_raised", message=f"{kind.__name__}: now", retryable=True)


@EVERYWHERE
@pytest.mark.parametrize("kind", [Odd, GeneratorExit, asyncio.CancelledError])
def test_no_other_exception_gets_out_either(run: Run, kind: type[BaseException]) -> None:
    def leave() -> str:
        raise kind("now")

    outcome = run(leave)
    assert isinstance(outcome, FailureOutcome)
    assert outcome.message == f"{kind.__name__}: now"


@pytest.mark.parametrize(
    "exc",
    [ValueError("\ud800"), OSError(2, "missing", "\udcff.txt"), Mute(), SkillFailed("\ud800"), ValueError("a\x00b")],
    ids=["surrogate", "file name", "mute", "failed", "nul"],
)
def test_an_exception_with_an_odd_message_is_a_failure_as_any_other(exc: Exception) -> None:
    def broken() -> str:
        raise exc

    assert failed(broken).code in {"skill_raised", "skill_failed"}


def test_a_long_message_is_cut() -> None:
    def broken() -> str:
        raise ValueError("x" * 1_000_000)

    assert len(failed(broken).message) == MAX_MESSAGE_CHARACTERS


def test_a_validation_error_of_the_skill_s_own_is_no_fault_of_its_input() -> None:
    class Answer(BaseModel):
        label: str

    def parse() -> str:
        # What a model answered, say; the next attempt may bring a better one.
        return Answer.model_validate_json('{"lable": "bill"}').label

    outcome = failed(parse)
    assert (outcome.code, outcome.retryable) == ("skill_raised", True)


@EVERYWHERE
def test_an_async_exception_is_a_failure_as_any_other(run: Run) -> None:
    async def broken() -> str:
        raise ValueError("no such row")

    assert run(broken) == FailureOutcome(code="skill_raised", message="ValueError: no such row", retryable=True)


def test_an_async_skill_that_wants_to_end_the_process_harms_no_later_one() -> None:
    async def leave() -> str:
        raise SystemExit("now")

    async def fine() -> str:
        return "fine"

    gone = failed(leave)
    assert succeeded(fine).output == "fine"
    # As it is told of a skill that is not async.
    assert gone == FailureOutcome(code="skill_raised", message="SystemExit: now", retryable=True)


# Failures on purpose.


def test_a_failure_on_purpose_is_told_as_it_is() -> None:
    def busy() -> str:
        raise SkillFailed("try later", code="rate_limited", retryable=False, status=429, hosts=["a"])

    assert failed(busy) == FailureOutcome(
        code="rate_limited", message="try later", retryable=False, details={"status": 429, "hosts": ["a"]}
    )


@pytest.mark.parametrize(("said", "cost"), [(Usage(tokens=7), Usage(tokens=7)), ("much", NO_USAGE)])
def test_a_failure_may_have_cost_something(said: Any, cost: Usage) -> None:
    def busy() -> str:
        raise SkillFailed("try later", usage=said)

    _, usage = execute(as_skill(busy), "{}", 10.0, MAX_BYTES)
    assert usage == cost


def endless() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "detail",
    [object(), math.nan, b"\xff", endless(), "\ud800", 10**5000, {1: 1, "a": 2}],
    ids=lambda it: type(it).__name__,
)
def test_details_that_are_no_json_do_not_hide_the_failure(detail: object) -> None:
    def busy() -> str:
        raise SkillFailed("try later", code="rate_limited", retryable=False, detail=detail)

    outcome = failed(busy)
    assert (outcome.code, outcome.message, outcome.retryable) == ("rate_limited", "try later", False)


@pytest.mark.parametrize("odd", [{"code": 429}, {"code": None}, {"retryable": "yes"}, {"retryable": None}], ids=repr)
def test_a_failure_that_is_told_wrongly_is_still_a_failure(odd: dict[str, Any]) -> None:
    def busy() -> str:
        raise SkillFailed("try later", **odd)

    assert "try later" in failed(busy).message


def test_a_failure_s_details_are_no_larger_than_an_output_may_be() -> None:
    def busy() -> str:
        raise SkillFailed("try later", code="rate_limited", body="x" * 5_000_000)

    text, _ = execute(as_skill(busy), "{}", 10, MAX_BYTES)
    assert len(text) <= MAX_BYTES
    assert json.loads(text)["code"] == "rate_limited"


# Outputs that cannot be staged.


def test_an_output_of_the_wrong_type_is_not_tried_again() -> None:
    def count() -> int:
        return "many"  # type: ignore[return-value]

    outcome = failed(count)
    assert (outcome.code, outcome.retryable) == ("wrong_type", False)
    assert outcome.message.startswith("value: Input should be a valid integer")


@pytest.mark.parametrize(
    "answer",
    [
        Success("a", reasoning=5),  # type: ignore[arg-type]
        Success("a", evidence=[1]),  # type: ignore[list-item]
        Success("a", evidence=None),  # type: ignore[arg-type]
    ],
    ids=["reasoning", "evidence", "no evidence"],
)
def test_an_answer_that_is_told_wrongly_is_a_failure(answer: Success[str]) -> None:
    def answers() -> Success[str]:
        return answer

    assert failed(answers).retryable is False


def test_evidence_that_cannot_be_read_is_a_failure() -> None:
    def lines() -> Iterator[str]:
        yield "a"
        raise KeyError("gone")

    def answers() -> Success[str]:
        return Success("a", evidence=lines())  # type: ignore[arg-type]

    assert isinstance(failed(answers), FailureOutcome)


class Picky(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def known(cls, name: str) -> str:
        return {"a": "A"}[name]


def test_an_output_whose_own_validator_breaks_is_a_failure() -> None:
    def answers() -> Picky:
        return {"name": "b"}  # type: ignore[return-value]

    assert isinstance(failed(answers), FailureOutcome)


@pytest.mark.parametrize(
    "output",
    [object(), math.nan, [math.inf], b"\xff", endless(), 10**5000, {(1, 2): 3, "a": object()}, "\ud800", lambda: 1],
    ids=["object", "nan", "inf", "bytes", "endless", "huge", "keys", "surrogate", "function"],
)
def test_an_output_that_is_no_json_is_a_failure_or_comes_back_as_it_was(output: Any) -> None:
    def answers() -> Any:
        return output

    outcome = executed(answers)
    if isinstance(outcome, FailureOutcome):
        assert outcome.code in {"not_json", "invalid_result"}
        assert not outcome.retryable
    else:
        assert outcome.output == output


def test_an_output_over_the_limit_is_a_failure_of_a_few_words() -> None:
    def much() -> str:
        return "x" * 5_000_000

    outcome = failed(much)
    assert (outcome.code, outcome.retryable) == ("output_too_large", False)
    assert len(outcome.message) < 200


def test_the_limit_is_of_the_outcome_s_bytes() -> None:
    def echo(text: str) -> str:
        return text

    size = len(canonical_json(SuccessOutcome(output="x").model_dump()))
    assert succeeded(echo, text="x", max_output_bytes=size).output == "x"
    assert failed(echo, text="xx", max_output_bytes=size).code == "output_too_large"
    assert failed(echo, text="ü", max_output_bytes=size).code == "output_too_large"


@pytest.mark.parametrize("depth", [10, 100, 200, 250, 400, 900, 5000, 100_000])
def test_what_is_nested_too_deep_is_refused_here_and_not_by_the_judge(depth: int) -> None:
    def nest() -> Any:
        value: Any = "password"
        for _ in range(depth):
            value = [value]
        return value

    text, _ = execute(as_skill(nest), "{}", 10, MAX_BYTES)
    outcome = OUTCOME.validate_python(json.loads(text), strict=False)
    if isinstance(outcome, FailureOutcome):
        assert depth > 100
        assert outcome.code in {"not_json", "invalid_result"}
        return
    staged = Staged(
        task_id=UUID(int=1),
        skill="nest",
        input={},
        attempt=1,
        max_attempts=3,
        outcome=outcome,
        sha256=bytes(32),
    )
    assert as_skill(nest).output_fault(outcome.output, len(text)) is None
    assert "keyword.password" in [reason.rule for reason in gate(staged, Policy(), None).reasons]


# Time.


@EVERYWHERE
def test_an_overrun_is_ended_and_tried_again(run: Run, never: threading.Event) -> None:
    def wait() -> None:
        never.wait(FOR_LONG)

    assert run(wait, timeout_seconds=SOON) == FailureOutcome(
        code="timeout", message="ran longer than 0.05 s", retryable=True
    )


@EVERYWHERE
def test_a_skill_that_swallows_exceptions_is_ended_as_well(run: Run, never: threading.Event) -> None:
    def wait() -> str:
        try:
            never.wait(FOR_LONG)
        except Exception:  # noqa: BLE001  that is the case
            return "never mind"
        return "so late"

    outcome = run(wait, timeout_seconds=SOON)
    assert isinstance(outcome, FailureOutcome)
    assert outcome.code == "timeout"


@EVERYWHERE
def test_an_async_overrun_is_cancelled(run: Run) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    outcome = run(wait, timeout_seconds=SOON)
    assert isinstance(outcome, FailureOutcome)
    assert outcome.code == "timeout"
    assert cancelled.wait(10)


def test_an_overrun_behind_a_plain_decorator_is_cancelled() -> None:
    async def wait() -> None:
        await asyncio.sleep(60)

    @functools.wraps(wait)
    def traced() -> Any:
        return wait()

    assert failed(traced, timeout_seconds=SOON).code == "timeout"


@EVERYWHERE
def test_a_timeout_of_the_skill_s_own_is_told_apart(run: Run) -> None:
    async def ask() -> str:
        raise TimeoutError("no reply in 3 s")

    def call() -> str:
        raise TimeoutError("no reply in 3 s")

    expected = FailureOutcome(code="timeout", message="TimeoutError: no reply in 3 s", retryable=True)
    assert run(ask) == expected
    assert run(call) == expected


def test_the_next_skill_has_its_time_to_itself(never: threading.Event) -> None:
    def wait(seconds: float) -> str:
        return "waited" if never.wait(seconds) else "done"

    handler = signal.getsignal(signal.SIGALRM)
    assert failed(wait, seconds=60, timeout_seconds=SOON).code == "timeout"
    assert succeeded(wait, seconds=2 * SOON, timeout_seconds=60).output == "done"
    assert signal.getsignal(signal.SIGALRM) is handler


def test_an_overrun_in_a_thread_does_not_hold_the_next(never: threading.Event) -> None:
    def wait() -> None:
        never.wait(FOR_LONG)

    def fine() -> str:
        return "fine"

    def both() -> Any:
        return failed(wait, timeout_seconds=SOON).code, succeeded(fine).output

    with ThreadPoolExecutor(max_workers=1) as executor:
        assert executor.submit(both).result() == ("timeout", "fine")


# What is left of a call that overran, where no signal can end it.


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chimera-skill"]


def overrun_in_a_thread(function: Callable[..., Any], calls: Calls) -> FailureOutcome:
    with ThreadPoolExecutor(max_workers=1) as executor:
        text, _ = executor.submit(execute, as_skill(function), "{}", SOON, MAX_BYTES, calls).result()
    outcome = OUTCOME.validate_python(json.loads(text), strict=False)
    assert isinstance(outcome, FailureOutcome)
    return outcome


def test_a_call_that_computes_is_ended_and_leaves_no_thread(never: threading.Event) -> None:
    before = alive()
    left = LeftBehind(0, lambda: pytest.fail("nothing is left behind"))

    def compute() -> None:
        number = 0
        while not never.is_set():
            number += 1

    assert overrun_in_a_thread(compute, Calls(left)).code == "timeout"
    for thread in set(alive()) - set(before):
        thread.join(10)
    assert set(alive()) <= set(before)


def test_calls_that_cannot_be_ended_are_counted_and_the_process_is_replaced_once(never: threading.Event) -> None:
    recycled: list[int] = []
    calls = Calls(LeftBehind(2, lambda: recycled.append(1)))

    def wait() -> None:
        never.wait(FOR_LONG)

    for expected in ([], [], [1], [1]):
        assert overrun_in_a_thread(wait, calls).code == "timeout"
        assert recycled == expected


def test_those_that_end_later_count_no_more(never: threading.Event) -> None:
    calls = Calls(LeftBehind(1, lambda: pytest.fail("there is only one at a time")))
    gate = threading.Event()

    def wait() -> None:
        gate.wait(60)

    for _ in range(3):
        before = alive()
        overrun_in_a_thread(wait, calls)
        gate.set()
        for thread in set(alive()) - set(before):
            thread.join(10)
        gate.clear()


def test_who_ended_in_time_did_so_however_late_that_is_looked_at() -> None:
    async def ask() -> str:
        return "in time"

    async def last() -> str:
        await asyncio.sleep(SOON)
        return "in time too"

    execution = Execution(CALLS, MAX_BYTES)
    calls = [Call(as_skill(function), "{}", 10 * SOON, copy_context()) for function in (ask, last)]
    results = execution.run_together(calls)
    next(results)
    threading.Event().wait(15 * SOON)  # as long as staging what is there may take
    [(_, outcome)] = results
    assert not outcome.failed
