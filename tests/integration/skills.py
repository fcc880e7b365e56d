"""Skills and planners that do what users' code does, right and wrong."""

import asyncio
import logging
import math
import os
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from chimera import DeniedTask, Skill, SkillFailed, Success, TaskSpec, Usage, current_task, planner, skill

# Stands in inputs, outputs and exceptions, and must not come up in any log or in Flower.
CANARY = "canary-5e1f0c"


class Step(BaseModel):
    """One task of a test's plan: what it is to do, and with what."""

    do: str
    text: str = "fine"
    confidence: float = 0.9
    seconds: float = 0.0
    after: list[int] = []
    key: str | None = None


@skill(name="test.number", max_batch=100)
def number(value: int) -> Success[int]:
    return Success(value, confidence=1.0)


@skill(name="test.say", max_batch=20)
def say(text: str, confidence: float, seconds: float = 0.0) -> Success[str]:
    time.sleep(seconds)
    return Success(text, confidence=confidence, evidence=["because"])


@skill(name="test.slow", max_batch=1)
def slow(text: str, seconds: float) -> Success[str]:
    time.sleep(seconds)
    return Success(text, confidence=1.0)


@skill(name="test.async", max_batch=20)
async def say_async(text: str) -> Success[str]:
    await asyncio.sleep(0.01)
    return Success(text, confidence=1.0)


@skill(name="test.no_confidence")
def no_confidence(text: str) -> str:
    return text


@skill(name="test.nan")
def nan(text: str) -> Success[str]:
    return Success(text, confidence=math.nan)


@skill(name="test.raises", max_attempts=2)
def raises(text: str) -> Success[str]:
    raise RuntimeError(f"cannot do {text}")


@skill(name="test.refuses")
def refuses(text: str) -> Success[str]:
    raise SkillFailed("not today", code="closed", retryable=False)


@skill(name="test.wrong_type")
def wrong_type(text: str) -> Success[int]:
    answer: Any = {"text": text}
    return Success(answer, confidence=1.0)


@skill(name="test.nothing")
def nothing(text: str) -> Success[str]:
    answer: Any = None
    return Success(answer, confidence=1.0)


@skill(name="test.huge")
def huge(text: str) -> Success[str]:
    return Success(text * (5_000_000 // len(text)), confidence=1.0)


@skill(name="test.overruns", timeout_seconds=0.2, max_attempts=1)
def overruns(text: str) -> Success[str]:
    while True:
        try:
            time.sleep(10)
        except Exception:  # noqa: BLE001
            continue  # a skill that swallows everything is ended all the same


@skill(name="test.journal", max_batch=20)
def journal(folder: str, name: str) -> Success[str]:
    """Notes in a file that it ran; what is called bad fails until the folder has a file `mended`."""
    with (Path(folder) / "journal").open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")  # one write of one short line: those of two processes do not mix
    if name.startswith("bad") and not (Path(folder) / "mended").exists():
        raise SkillFailed("not mended", code="broken", retryable=False)
    return Success(name, confidence=1.0)


@skill(name="test.paid", max_batch=1, max_attempts=5)
def paid(folder: str, name: str, seconds: float) -> Success[str]:
    """Costs 5 cents. What is called fail costs nothing the first time; what is called unsure is to be tried again."""
    with (Path(folder) / "journal").open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    first = (Path(folder) / "journal").read_text(encoding="utf-8").splitlines().count(name) == 1
    if first and name.startswith("fail"):
        raise SkillFailed("try again", code="busy")
    time.sleep(seconds)
    confidence = 0.3 if first and name.startswith("unsure") else 1.0
    return Success(name, confidence=confidence, usage=Usage(tokens=10, cost_usd=Decimal("0.05")))


@skill(name="test.cheap", max_batch=1)
def cheap(folder: str, name: str, seconds: float) -> Success[str]:
    """The same for 1 cent."""
    return Success(name, confidence=1.0, usage=Usage(tokens=1, cost_usd=Decimal("0.01")))


@planner(name="test.paid")
def paid_tasks(folder: str, names: list[str], seconds: float) -> Iterator[TaskSpec]:
    for name in names:
        yield paid.task(folder, name, seconds)


STEPS: dict[str, Skill[[str], Any]] = {
    "no_confidence": no_confidence,
    "nan": nan,
    "raises": raises,
    "refuses": refuses,
    "wrong_type": wrong_type,
    "nothing": nothing,
    "huge": huge,
    "overruns": overruns,
    "async": say_async,
}


@planner(name="test.numbers")
def numbers(count: int) -> Iterator[TaskSpec]:
    for value in range(count):
        yield number.task(value).options(label={"value": value})


@planner(name="test.steps")
def steps(steps: list[Step]) -> Iterator[TaskSpec]:
    yielded: list[TaskSpec] = []
    for step in steps:
        if step.do == "say":
            spec = say.task(step.text, step.confidence, step.seconds)
        elif step.do == "slow":
            spec = slow.task(step.text, step.seconds)
        else:
            spec = STEPS[step.do].task(step.text)
        spec = spec.options(depends_on=tuple(yielded[place] for place in step.after), state_key=step.key)
        yielded.append(spec)
        yield spec


@planner(name="test.journals")
def journals(folder: str, names: list[str]) -> Iterator[TaskSpec]:
    for name in names:
        yield journal.task(folder, name)


@skill(name="test.guess", max_batch=5, max_attempts=8)
def guess(text: str) -> Success[str]:
    """Is sure of a text that says so; otherwise of one that was sent back twice."""
    feedback = current_task().feedback
    sure = "sure" in text or current_task().attempt > 2
    return Success(" ".join([text, *(reason.rule for reason in feedback)]), confidence=0.9 if sure else 0.2)


@planner(name="test.guesses")
def guesses(texts: list[str]) -> Iterator[TaskSpec]:
    for text in texts:
        yield guess.task(text)


@planner(name="test.guesses_again")
def guesses_again(texts: list[str]) -> Iterator[TaskSpec]:
    yield from guesses(texts)


@guesses_again.replan
def guess_again(denied: DeniedTask) -> TaskSpec | None:
    text = denied.input["text"]
    if text == "hopeless":
        return None
    if text == "broken":
        raise RuntimeError(f"no answer {CANARY}")
    return denied.task(text=f"{text} {denied.depth}" if text.startswith("deep") else f"{text}, surely")


@planner(name="test.dies_replanning")
def dies_replanning(texts: list[str], folder: str) -> Iterator[TaskSpec]:
    for text in texts:
        yield guess.task(text)


@dies_replanning.replan
def die_once(denied: DeniedTask) -> TaskSpec:
    """Ends its process the first time that it is asked about a task that is to die, and is well after that."""
    died = Path(denied.inputs["folder"]) / "died"
    if denied.input["text"] == "die" and not died.exists():
        died.touch()
        os._exit(7)
    return denied.task(text=f"{denied.input['text']}, surely")


@skill(name="test.stubborn", max_batch=5, max_attempts=8)
def stubborn(text: str) -> Success[str]:
    return Success(text, confidence=0.2)


@planner(name="test.stubborn")
def all_stubborn(count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield stubborn.task(str(number))


@all_stubborn.replan
def insist(denied: DeniedTask) -> TaskSpec:
    return denied.task(text=f"{denied.input['text']}.{denied.depth}")


@skill(name="test.append", max_batch=1, max_attempts=5)
def append(text: str, seconds: float = 0.0) -> Success[list[str]]:
    """Adds to the list that the task's entry of shared state holds."""
    known = current_task().state_value or []
    time.sleep(seconds)
    return Success([*known, text], confidence=1.0)


@planner(name="test.append")
def appends(key: str, text: str, seconds: float) -> Iterator[TaskSpec]:
    yield append.task(text, seconds).options(state_key=key)


@planner(name="test.raises")
def planner_raises(count: int) -> Iterator[TaskSpec]:
    yield from numbers(count)
    raise RuntimeError(f"the source went away {CANARY}")


@planner(name="test.rubbish")
def planner_rubbish() -> Iterator[Any]:
    yield "not a task"


@skill(name="test.poison", max_batch=10, timeout_seconds=2.0)
def poison(how: str) -> Success[str]:
    """What ends the process that it runs in, or does not end; anything else is harmless."""
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "memory":
        return Success(str(len(bytearray(2**30))), confidence=1.0)
    while how == "endless":
        with suppress(BaseException):
            time.sleep(60)
    return Success(how, confidence=1.0)


@planner(name="test.poisoned")
def poisoned(hows: list[str]) -> Iterator[TaskSpec]:
    for how in hows:
        yield poison.task(how)


@skill(name="test.talks", max_batch=10, max_attempts=1)
def talks(text: str) -> Success[str]:
    """Prints, logs, and prints a traceback, as users' skills do."""
    print(f"working on {text}")  # noqa: T201
    logging.getLogger("some.library").warning("slow answer to %s", text)
    try:
        {"known": text}["unknown"]
    except KeyError:
        traceback.print_exc()
    if text == "fails":
        raise RuntimeError(f"{CANARY} {text}")
    return Success(text, confidence=1.0)


@planner(name="test.talks")
def all_talk(texts: list[str]) -> Iterator[TaskSpec]:
    print(f"planning {len(texts)}")  # noqa: T201
    for text in texts:
        yield talks.task(text)


@skill(name="test.meets", max_batch=10, timeout_seconds=20.0, max_attempts=1)
async def meets(folder: str, name: str, together: int) -> Success[str]:
    """Ends when this many of these run at the same time, and no sooner."""
    (Path(folder) / name).touch()
    while len(list(Path(folder).iterdir())) < together:
        await asyncio.sleep(0.02)
    return Success(name, confidence=1.0)


@planner(name="test.meets")
def all_meet(folder: str, count: int) -> Iterator[TaskSpec]:
    for number in range(count):
        yield meets.task(folder, str(number), count // 2)


@skill(name="test.hangs", max_batch=1, timeout_seconds=0.3, max_attempts=1)
def hangs(how: str) -> Success[str]:
    """Overruns: by computing, which can be ended in a thread, or by waiting, which cannot."""
    if how == "waits":
        time.sleep(600)
    while how == "computes":
        pass
    return Success(how, confidence=1.0)


@planner(name="test.hangs")
def all_hang(hows: list[str]) -> Iterator[TaskSpec]:
    for how in hows:
        yield hangs.task(how)
