import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from chimera.cli.plan.input_file import parse_set, read_csv, read_inputs, read_json, read_jsonl, rename_columns
from chimera.errors import InvalidInput

PLENTY = 1_000_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fault(name: str, content: bytes | str, folder: Path, max_bytes: int = PLENTY) -> str:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidInput) as caught:
        read_inputs(name, max_bytes)
    return str(caught.value)


def read(name: str, content: bytes | str, folder: Path) -> dict[str, object]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_inputs(name, PLENTY)


class TestCsv:
    def test_rows_become_objects_of_texts(self, folder: Path) -> None:
        assert read("m.csv", "text,n\nhi,1\nyo,\n", folder) == {
            "rows": [{"text": "hi", "n": "1"}, {"text": "yo", "n": ""}]
        }

    def test_quotes_hold_commas_quotes_and_line_breaks(self) -> None:
        assert read_csv("m.csv", 'text,n\n"a, ""b""\nc\r\nd",1\n') == [{"text": 'a, "b"\nc\r\nd', "n": "1"}]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_any_line_ending(self, end: str) -> None:
        assert read_csv("m.csv", f"text,n{end}hi,1{end}") == [{"text": "hi", "n": "1"}]

    def test_blank_lines_are_no_rows(self) -> None:
        assert read_csv("m.csv", "text\n\nhi\n\n") == [{"text": "hi"}]

    @pytest.mark.parametrize("content", ["", "text,n\n", "text,n"])
    def test_nothing_is_no_rows(self, content: str, folder: Path) -> None:
        assert read("m.csv", content, folder) == {"rows": []}

    def test_a_byte_order_mark_is_not_text(self, folder: Path) -> None:
        assert read("m.csv", "\ufefftext\nhi\n", folder) == {"rows": [{"text": "hi"}]}

    def test_a_field_larger_than_the_csv_modules_own_limit(self) -> None:
        assert read_csv("m.csv", "text\n" + "x" * 200_000) == [{"text": "x" * 200_000}]

    def test_the_suffix_may_be_upper_case(self, folder: Path) -> None:
        assert read("M.CSV", "text\nhi\n", folder) == {"rows": [{"text": "hi"}]}

    def test_a_row_with_too_many_fields(self, folder: Path) -> None:
        assert fault("messages.csv", "text,n\n" + "hi,1\n" * 15 + "hi,1,2\n", folder) == (
            "messages.csv, line 17: 3 fields, and the header has 2"
        )

    def test_a_row_with_too_few_fields(self) -> None:
        with pytest.raises(InvalidInput, match=r"^m.csv, line 2: 1 field, and the header has 2$"):
            read_csv("m.csv", "text,n\nhi\n")

    def test_the_line_named_is_the_one_the_row_begins_on(self) -> None:
        with pytest.raises(InvalidInput, match=r"m.csv, line 5: 3 fields"):
            read_csv("m.csv", 'text,n\n"a\nb",1\n\n"c\nd",1,2\n')

    def test_a_quote_that_is_never_closed(self) -> None:
        with pytest.raises(InvalidInput, match=r"m.csv, line 3: a quote that opens here is never closed"):
            read_csv("m.csv", 'text,n\nhi,1\n"yo,2\nhi,3\n')

    def test_text_after_a_quote(self) -> None:
        with pytest.raises(InvalidInput, match=r"m.csv, line 2: ',' expected after '\"'"):
            read_csv("m.csv", 'text,n\n"a"b,1\n')

    def test_a_column_that_comes_twice(self) -> None:
        with pytest.raises(InvalidInput, match="line 1: the header has the column 'a' twice"):
            read_csv("m.csv", "a,b,a\n1,2,3\n")

    def test_a_column_without_a_name(self) -> None:
        with pytest.raises(InvalidInput, match="line 1: column 2 of the header has no name"):
            read_csv("m.csv", "a,,c\n1,2,3\n")

    def test_a_nul_character(self) -> None:
        with pytest.raises(InvalidInput, match="line 2: a NUL character"):
            read_csv("m.csv", "a\n\0\n")


class TestEncoding:
    def test_another_encoding_is_named_with_line_and_byte(self, folder: Path) -> None:
        message = fault("m.csv", "text\nok\nMünchen\n".encode("latin-1"), folder)
        assert message.startswith("m.csv, line 3, byte 2 of the line (0xfc): not UTF-8")

    def test_utf_16_is_named(self, folder: Path) -> None:
        assert "the file is UTF-16, and UTF-8 is expected" in fault("m.csv", "text\nhi\n".encode("utf-16"), folder)

    def test_other_alphabets_are_kept(self, folder: Path) -> None:
        assert read("m.csv", "text\nпривет 🙂\n", folder) == {"rows": [{"text": "привет 🙂"}]}


class TestJsonl:
    @pytest.mark.parametrize("name", ["m.jsonl", "m.ndjson"])
    def test_one_object_a_line(self, name: str, folder: Path) -> None:
        assert read(name, '{"a": 1}\r\n\n  \n{"a": [true, null, 1.5, "\u2028"]}', folder) == {
            "rows": [{"a": 1}, {"a": [True, None, 1.5, "\u2028"]}]
        }

    def test_an_empty_file(self, folder: Path) -> None:
        assert read("m.jsonl", "", folder) == {"rows": []}

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ('{"a": 1', "m.jsonl, line 2, column 8: not JSON: Expecting ',' delimiter"),
            ("[1]", "m.jsonl, line 2: a list, and each line must be a JSON object"),
            ('"a"', "m.jsonl, line 2: a text, and each line"),
            ("null", "m.jsonl, line 2: null, and each line"),
            ("true", "m.jsonl, line 2: true or false, and each line"),
            ("17", "m.jsonl, line 2: a number, and each line"),
            ('{"a": NaN}', "m.jsonl, line 2: NaN is not JSON"),
            ('{"a": -Infinity}', "m.jsonl, line 2: -Infinity is not JSON"),
            ('{"a": 1e999}', "m.jsonl, line 2: the number 1e999 is too large"),
            ('{"a": ' + "9" * 5000 + "}", "m.jsonl, line 2: a number of 5000 digits is too large"),
            ('{"a": 1, "a": 2}', "m.jsonl, line 2: the key 'a' comes twice"),
            ('{"a": {"b": 1, "c": 2, "b": 3}}', "m.jsonl, line 2: the key 'b' comes twice"),
            ('{"a": "\\ud800"}', r"m.jsonl, line 2: a text holds \ud800, half of a surrogate pair"),
            ('{"\\udfff": 1}', r"m.jsonl, line 2: a text holds \udfff, half of a surrogate pair"),
            ('{"a": ' + "[" * 200 + "]" * 200 + "}", "m.jsonl, line 2: nested more than 100 deep"),
            ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "m.jsonl, line 2: nested more than 100 deep"),
            ('{"a": 1} {"a": 2}', "m.jsonl, line 2, column 10: not JSON: Extra data"),
        ],
    )
    def test_a_line_that_is_not_one_object(self, line: str, said: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            read_jsonl("m.jsonl", '{"a": 1}\n' + line + '\n{"a": 3}\n')
        assert str(caught.value).startswith(said)

    def test_a_surrogate_pair_is_a_character(self) -> None:
        assert read_jsonl("m.jsonl", '{"a": "\\ud83d\\ude42"}') == [{"a": "🙂"}]

    def test_from_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"a": 1}\n{"a"')))
        with pytest.raises(InvalidInput, match="standard input, line 2, column 5"):
            read_inputs("-", PLENTY)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"a": 1}\n')))
        assert read_inputs("-", PLENTY) == {"rows": [{"a": 1}]}
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"a": 1}\n')))
        with pytest.raises(InvalidInput, match="standard input: over 4 bytes"):
            read_inputs("-", 4)


class TestJson:
    def test_the_file_is_all_of_the_inputs(self, folder: Path) -> None:
        assert read("m.json", '{\n "rows": [],\n "column": "body"\n}\n', folder) == {"rows": [], "column": "body"}

    def test_a_fault_is_named_with_line_and_column(self) -> None:
        with pytest.raises(InvalidInput, match=r"m.json, line 2, column 7: not JSON"):
            read_json("m.json", '{\n "a": ,\n}')

    def test_it_must_be_an_object(self) -> None:
        with pytest.raises(InvalidInput, match=r"m.json: a list, and the inputs must be a JSON object"):
            read_json("m.json", "[]")

    def test_an_empty_file_is_not_json(self) -> None:
        with pytest.raises(InvalidInput, match=r"m.json, line 1, column 1: not JSON"):
            read_json("m.json", "")


class TestFile:
    def test_over_the_limit(self, folder: Path) -> None:
        assert fault("m.csv", "text\n" + "x" * 100, folder, max_bytes=50) == (
            "m.csv: over 50 bytes, and no more are taken (CHIMERA_MAX_INPUTS_BYTES); split it"
        )

    def test_at_the_limit(self, folder: Path) -> None:
        (folder / "m.csv").write_text("text\nx")
        assert read_inputs("m.csv", 6) == {"rows": [{"text": "x"}]}

    def test_not_there(self, folder: Path) -> None:
        with pytest.raises(InvalidInput, match=r"^none.csv: there is no such file$"):
            read_inputs("none.csv", PLENTY)

    def test_a_folder(self, folder: Path) -> None:
        (folder / "d.csv").mkdir()
        with pytest.raises(InvalidInput, match=r"^d.csv: is a folder, not a file$"):
            read_inputs("d.csv", PLENTY)

    def test_not_readable(self, folder: Path) -> None:
        (folder / "loop.csv").symlink_to("loop.csv")
        with pytest.raises(InvalidInput, match=r"^loop.csv: cannot be read: "):
            read_inputs("loop.csv", PLENTY)

    @pytest.mark.parametrize("name", ["m.txt", "m", "m.xlsx"])
    def test_an_unknown_kind(self, name: str) -> None:
        with pytest.raises(InvalidInput, match=r"must end with .csv, .jsonl, .ndjson, .json"):
            read_inputs(name, PLENTY)


class TestSet:
    def test_values_are_json_or_text(self) -> None:
        pairs = ["n=1", "t=true", 'o={"a": [1]}', "s=some text", "q=a=b", "e=", "nan=NaN", 'j="1"']
        assert parse_set(pairs) == {
            "n": 1,
            "t": True,
            "o": {"a": [1]},
            "s": "some text",
            "q": "a=b",
            "e": "",
            "nan": "NaN",
            "j": "1",
        }

    @pytest.mark.parametrize("pair", ["n", "=1", ""])
    def test_without_a_key_or_a_value(self, pair: str) -> None:
        with pytest.raises(InvalidInput, match="it must be key=value"):
            parse_set([pair])

    def test_a_key_given_twice(self) -> None:
        with pytest.raises(InvalidInput, match="--set n: given twice"):
            parse_set(["n=1", "n=2"])


class TestColumns:
    ROWS: ClassVar[dict[str, Any]] = {"rows": [{"body": "a", "text": "old", "n": 1}, {"body": "b"}, {"n": 2}]}

    def test_they_get_the_planner_s_names(self) -> None:
        assert rename_columns(self.ROWS, ["text=body", "number=n"]) == {
            "rows": [{"text": "a", "number": 1}, {"text": "b"}, {"number": 2}]
        }
        assert rename_columns(self.ROWS, []) is self.ROWS
        assert rename_columns({"rows": []}, ["text=body"]) == {"rows": []}

    def test_two_may_be_exchanged(self) -> None:
        assert rename_columns({"rows": [{"a": 1, "b": 2}]}, ["a=b", "b=a"]) == {"rows": [{"b": 1, "a": 2}]}

    @pytest.mark.parametrize(
        ("inputs", "pairs", "said"),
        [
            (ROWS, ["body"], "--column body: it must be NAME=COLUMN"),
            (ROWS, ["=body"], "--column =body: it must be"),
            (ROWS, ["text="], "--column text=: it must be"),
            (ROWS, ["text=boddy"], "--column text=boddy: no such column; there are body, text, n"),
            (ROWS, ["text=body", "text=n"], "--column text=n: text is named twice"),
            (ROWS, ["text=body", "label=body"], "--column label=body: body is named twice"),
            ({"n": 1}, ["text=body"], "--column: the file's inputs have no rows"),
        ],
    )
    def test_what_cannot_be_renamed(self, inputs: dict[str, Any], pairs: list[str], said: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            rename_columns(inputs, pairs)
        assert str(caught.value).startswith(said)
