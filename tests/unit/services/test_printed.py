"""What skills print: lines of the log with the ids of their task, and not more than one call may have."""

import asyncio
import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from chimera import logs
from chimera.models.ids import IdKind, format_id
from chimera.services import traces
from chimera.services.printed import LONGEST_LINE, MOST_CHARACTERS
from tests.unit.services.house import House

Lines = list[dict[str, Any]]


class Lined(io.StringIO):
    """Where a worker writes its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Lines = []

    def write(self, text: str) -> int:
        self.lines.append(json.loads(text))
        return len(text)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Logs as a worker's, whose lines end here."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = Lined()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", written)
        logs.configure()
    structlog.configure(cache_logger_on_first_use=False)  # a logger would keep to the first test's lines
    try:
        yield written.lines
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()


def run(house: House, *texts: str) -> list[str]:
    """Runs the skill `ask` with each of these; the ids of its tasks."""
    skill = house.catalogue.skill("ask")
    plan_id = house.planned(*[skill.task(text) for text in texts])
    for dispatch in house.queue.dispatches:
        house.run_batches(dispatch)
    return [format_id(IdKind.TASK, row.task_id) for row in house.results(plan_id)]


def printed(lines: Lines) -> list[tuple[str, str, str]]:
    return [(line["task_id"], line["stream"], line["line"]) for line in lines if line["event"] == "skill_printed"]


def test_every_line_names_its_task(house: House, lines: Lines) -> None:
    def ask(text: str) -> None:
        print(text, end="")  # noqa: T201
        print(" and more\n\nlast", file=sys.stderr)  # noqa: T201
        print(f"{text} again")  # noqa: T201

    house.skill(ask)
    one, two = run(house, "a", "b")
    of_a = [(one, "stderr", " and more"), (one, "stderr", ""), (one, "stderr", "last"), (one, "stdout", "aa again")]
    assert [line for line in printed(lines) if line[0] == one] == of_a
    assert (two, "stdout", "bb again") in printed(lines)
    assert {(line["attempt"], line["skill"]) for line in lines if line["event"] == "skill_printed"} == {(1, "ask")}


def test_a_traceback_that_a_skill_prints_is_lines_of_its_task(house: House, lines: Lines) -> None:
    def ask(text: str) -> None:
        try:
            int(text)
        except ValueError:
            traceback.print_exc()

    house.skill(ask)
    [task] = run(house, "a")
    assert printed(lines)[0] == (task, "stderr", "Traceback (most recent call last):")
    assert printed(lines)[-1] == (task, "stderr", "ValueError: invalid literal for int() with base 10: 'a'")


def test_async_skills_that_run_at_the_same_time_are_told_apart(house: House, lines: Lines) -> None:
    together = asyncio.Barrier(2)

    async def ask(text: str) -> None:
        print("one", text, end=" ")  # noqa: T201
        await together.wait()
        print("two", text)  # noqa: T201
        await asyncio.to_thread(print, "thread", text)

    house.skill(ask, max_batch=8)
    skill = house.catalogue.skill("ask")
    plan_id = house.planned(skill.task("a"), skill.task("b"))
    [dispatch] = house.queue.dispatches
    ids = [row.task_id for row in house.results(plan_id)]
    house.worker().run_batch(dispatch.wave, ids, 20)
    one, two = (format_id(IdKind.TASK, task_id) for task_id in ids)
    assert sorted(line for line in printed(lines) if line[0] == one) == [
        (one, "stdout", "one a two a"),
        (one, "stdout", "thread a"),
    ]
    assert {line for task, _, line in printed(lines) if task == two} == {"one b two b", "thread b"}


def test_what_a_skill_logs_names_its_task_too(house: House, lines: Lines) -> None:
    def ask(text: str) -> None:
        logging.getLogger("some.library").warning("slow answer to %s", text)
        structlog.get_logger("mine").info("answered", length=len(text))

    house.skill(ask)
    [task] = run(house, "a")
    [library] = [line for line in lines if line["event"] == "slow answer to a"]
    [own] = [line for line in lines if line["event"] == "answered"]
    assert library["task_id"] == own["task_id"] == task


def test_a_call_has_so_many_characters_and_its_end_says_how_many_were_too_much(house: House, lines: Lines) -> None:
    def ask(text: str) -> None:
        for _ in range(1000):
            print("x" * 999)  # noqa: T201
            logging.getLogger("some.library").warning("y" * 999)

    house.skill(ask)
    [task] = run(house, "a")
    mine = [line for line in lines if line.get("task_id") == task and "logger" in line]
    kept = [line for line in mine if line["event"] == "skill_printed" or line["logger"] == "some.library"]
    assert MOST_CHARACTERS // 1000 - 1 <= len(kept) <= MOST_CHARACTERS // 1000
    [end] = [line for line in mine if line["event"] == "skill_printed_too_much"]
    assert end["dropped_characters"] == 2_000_000 - 1000 * len(kept)


def test_a_line_without_an_end_is_cut_into_several(house: House, lines: Lines) -> None:
    def ask(text: str) -> None:
        print("x" * (2 * LONGEST_LINE + 1), end="")  # noqa: T201

    house.skill(ask)
    run(house, "a")
    assert [len(line) for _, _, line in printed(lines)] == [LONGEST_LINE, LONGEST_LINE, 1]


def test_what_nobody_s_skill_prints_stays_where_it_was(
    house: House, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(text: str) -> None:
        print(text)  # noqa: T201

    house.skill(ask)
    run(house, "a")
    print("outside")  # noqa: T201
    assert capsys.readouterr().out == "outside\n"
    assert [line for _, _, line in printed(lines)] == ["a"]


# Failures.


SECRET = "canary-77"


def test_a_failure_is_logged_with_its_frames_and_without_its_message(house: House, lines: Lines) -> None:
    def deeper(text: str) -> None:
        raise KeyError(f"{text} {SECRET}")

    def ask(text: str) -> None:
        try:
            deeper(text)
        except KeyError as exc:
            raise ValueError(f"cannot {SECRET}") from exc

    house.skill(ask)
    [task] = run(house, "a")
    [line] = [line for line in lines if line["event"] == "skill_failed"]
    assert (line["task_id"], line["attempt"], line["code"]) == (task, 1, "skill_raised")
    assert [each["type"] for each in line["trace"]] == ["ValueError", "KeyError"]
    first, cause = (each["frames"] for each in line["trace"])
    assert first == [f"{__file__}:{ask.__code__.co_firstlineno + 4} {ask.__qualname__}"]
    assert [frame.rpartition(" ")[2] for frame in cause] == [ask.__qualname__, deeper.__qualname__]
    assert SECRET not in json.dumps(lines)


def test_an_async_failure_begins_with_the_skill_s_own_frame(house: House, lines: Lines) -> None:
    async def ask(text: str) -> None:
        await asyncio.sleep(0)
        raise RuntimeError(SECRET)

    house.skill(ask)
    run(house, "a")
    [line] = [line for line in lines if line["event"] == "skill_failed"]
    assert [frame.rpartition(" ")[2] for frame in line["trace"][0]["frames"]] == [ask.__qualname__]


def test_a_failure_that_a_model_s_answer_caused_does_not_show_the_answer(house: House, lines: Lines) -> None:
    def ask(text: str) -> int:
        return f"{SECRET} {text}"  # type: ignore[return-value]

    house.skill(ask)
    run(house, "a")
    [line] = [line for line in lines if line["event"] == "skill_failed"]
    assert line["code"] == "wrong_type"
    assert line["trace"] == [{"type": "pydantic_core._pydantic_core.ValidationError", "frames": []}]
    assert SECRET not in json.dumps(lines)


def test_a_skill_that_another_calls_is_shown_without_what_is_between_them(house: House, lines: Lines) -> None:
    def inner(text: str) -> str:
        raise RuntimeError(text)

    other = house.skill(inner, name="inner")

    def outer(text: str) -> Any:
        return other(text)

    house.skill(outer, name="ask")
    run(house, "a")
    [line] = [line for line in lines if line["event"] == "skill_failed"]
    frames = [frame.rpartition(" ")[2] for frame in line["trace"][0]["frames"]]
    assert frames == [outer.__qualname__, inner.__qualname__]


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("models/work/skill.py", True),
        ("services/execution.py", True),
        ("chaos/skills.py", False),
        ("_project/examples/tickets/tasks.py", False),
        ("../chimera_of_ours/skills.py", False),
    ],
)
def test_what_ships_as_an_example_is_user_code(file: str, own: bool) -> None:
    path = os.path.normpath(Path(traces.__file__).parents[1] / file)
    code = compile("0 / 0", path, "exec")
    with pytest.raises(ZeroDivisionError) as raised:
        exec(code)
    [shown] = traces.trace(raised.value)
    assert (f"{path}:1 <module>" not in shown["frames"]) == own
