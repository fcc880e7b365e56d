import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chimera.cli import output
from tests.unit.cli.conftest import OnTerminal


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0.0s"),
        (0.84, "0.8s"),
        (12.9, "12s"),
        (192, "3m12s"),
        (14700, "4h05m"),
        (183600, "2d03h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, shown: str) -> None:
    assert output.duration(seconds) == shown


def test_times_are_in_utc() -> None:
    at = datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert output.moment(at) == "2026-03-01 12:00:00Z"
    assert output.moment(None) == ""
    assert output.age(datetime.now(UTC) - timedelta(seconds=70)).startswith("1m")


def test_a_table_in_a_pipe_is_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["NAME", "N"], [["[red]a\x1b[0m", "7"], ["b" * 300, "12"]])
    assert capsys.readouterr().out.splitlines() == [
        "NAME" + " " * 298 + " N",
        "[red]a<U+001B>[0m" + " " * 285 + " 7",
        "b" * 300 + "  12",
    ]


@pytest.mark.parametrize("values", [[], [1], [1, {"a": "é"}, None]])
def test_a_streamed_list_is_one_document(values: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    import json

    output.documents(iter(values))
    assert json.loads(capsys.readouterr().out) == values


def test_json_is_ascii_and_its_times_end_with_z(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"at": datetime(2026, 3, 1, tzinfo=UTC), "text": "\u202eé"})
    text = capsys.readouterr().out
    assert '"2026-03-01T00:00:00Z"' in text
    assert text.isascii()
    with pytest.raises(TypeError, match="object is not JSON-compatible"):
        output.document(object())


ONE, TWO = "tk_01a21ba0694d71088fcdc65eab1522da", "tk_01a21ba0694d71088fcdc65fb691a42a"
ROWS = [[ONE, "running", "3", "hold the line " * 9], [TWO, "denied", "12", ""]]
HEAD = ["TASK", "STATE", "N", "WHY"]


def test_a_table_on_a_terminal_has_short_ids_and_fits(
    on_terminal: OnTerminal, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(80)
    output.table(HEAD, ROWS)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip() for text in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == HEAD
    assert lines[1].startswith("tk_21baab1522da  running   3  hold the line")
    assert max(map(len, lines)) <= 80
    assert [text for text in lines if text.startswith("tk_21bab691a42a  denied")] == lines[-1:]


def test_a_row_is_a_block_where_the_terminal_is_too_narrow(
    on_terminal: OnTerminal, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(30)
    output.table(HEAD, ROWS)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip() for text in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 30
    assert lines[:3] == ["task   tk_21baab1522da", "state  running", "n      3"]
    assert lines[-4:] == ["", "task   tk_21bab691a42a", "state  denied", "n      12"]


def test_facts_have_whole_ids_where_they_fit(on_terminal: OnTerminal, capsys: pytest.CaptureFixture[str]) -> None:
    for width, shown in ((80, ONE), (40, "tk_21baab1522da")):
        on_terminal(width)
        output.facts([("first taken", ONE), ("nothing", "")])
        [line] = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
        assert line.split() == ["first", "taken", shown]


def test_what_is_said_comes_after_what_was_told() -> None:
    code = "from chimera.cli.output import say, tell\ntell('the answer')\nsay('next: more')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stdout == "the answer\nnext: more\n"
