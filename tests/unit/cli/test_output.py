from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chimera.cli import output


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
