"""The sample job's skill and planner."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
from pydantic import ValidationError

from chimera import SkillFailed, Success
from chimera.errors import InvalidInput
from chimera.models.gate.rules import DEFAULT_RULES, TextRules
from examples.tickets import tasks

TRAINING = b"text,category\nlittle green men,aliens\nbig red bus,traffic\n"


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that TICKETS_TRAINING names, not written yet; no model is fitted before or left after."""
    file = tmp_path / "training.csv"
    monkeypatch.setenv("TICKETS_TRAINING", str(file))
    tasks._fit.cache_clear()
    yield file
    tasks._fit.cache_clear()


def test_triage_is_a_plain_function_that_says_how_sure_it_is_and_why() -> None:
    answer = tasks.triage("My parcel has not arrived, what does the courier say?")
    assert isinstance(answer, Success)
    assert answer.output == tasks.Triage(
        category="delivery", reply=f"Thank you for your message. {tasks.REPLIES['delivery']}"
    )
    assert (
        answer.confidence == tasks.model().classify("My parcel has not arrived, what does the courier say?").probability
    )
    assert "parcel" in answer.evidence


def test_the_reply_never_quotes_the_message() -> None:
    reply = tasks.triage("my password is Sunflower-1987 and my card 4111 1111 1111 1111 was declined").output.reply
    assert "Sunflower" not in reply
    assert "4111" not in reply


def test_no_reply_makes_a_rule_of_the_gate_fire() -> None:
    replies = {"output": [tasks.REPLIES, tasks.REPLY]}
    assert TextRules(DEFAULT_RULES).fired("tickets.triage", replies) == ()


def test_there_is_a_reply_for_each_category_of_the_sample() -> None:
    assert set(tasks.REPLIES) == set(tasks.model().categories)


def test_a_category_of_ones_own_gets_the_general_reply(training: Path) -> None:
    training.write_bytes(TRAINING)
    output = tasks.triage("little men").output
    assert output.category == "aliens"
    assert output.reply.endswith(tasks.REPLY)


def test_the_output_is_strict() -> None:
    with pytest.raises(ValidationError):
        tasks.Triage.model_validate({"category": "refund", "reply": "Yes.", "amount": 500})


def test_a_bad_training_file_fails_the_task_for_good(training: Path) -> None:
    with pytest.raises(SkillFailed, match=r"training\.csv: No such file") as caught:
        tasks.triage("hello")
    assert not caught.value.retryable


def test_each_row_becomes_a_task_with_its_label_kept_apart() -> None:
    first, second = tasks.tickets(rows=[{"text": "where is it", "category": "delivery"}, {"text": "thanks"}])
    assert first.skill == "tickets.triage"
    assert first.input == {"text": "where is it"}
    assert first.label == {"category": "delivery"}
    assert second.input == {"text": "thanks"}
    assert second.label is None


def test_an_empty_label_is_no_label() -> None:
    (task,) = tasks.tickets(rows=[{"text": "thanks", "category": ""}])
    assert task.label is None


def test_the_columns_may_have_other_names() -> None:
    (task,) = tasks.tickets(rows=[{"body": "hello", "topic": "praise"}], text_column="body", label_column="topic")
    assert task.input == {"text": "hello"}
    assert task.label == {"category": "praise"}


@pytest.mark.parametrize(
    "row", [{"body": "hello", "category": "praise"}, {"text": " \n", "category": "praise"}, {"text": None}]
)
def test_a_row_without_text_is_refused_by_its_number(row: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        tasks.tickets.check_inputs({"rows": [{"text": "fine", "category": "praise"}, row]})
    assert "Value error" not in str(caught.value)
    assert f"row 2 has no text in column 'text'; its columns: {', '.join(sorted(row))}" in str(caught.value)
    named = {"rows": [{"other": "fine"}, row], "text_column": "other"}
    with pytest.raises(InvalidInput, match="row 2 has no text in column 'other'"):
        tasks.tickets.check_inputs(named)


def test_rows_may_hold_any_json() -> None:
    rows = [{"text": "hello", "id": 7, "urgent": True, "tags": ["a"], "of": None}, {"text": 4711, "category": 5}]
    first, second = tasks.tickets.specs("", json.dumps({"rows": rows}))
    assert (first.input, first.label) == ({"text": "hello"}, None)
    assert (second.input, second.label) == ({"text": "4711"}, {"category": "5"})


def test_threads_that_need_the_model_at_once_fit_it_once(training: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    second = Barrier(2)

    def read_messages(file: Path) -> list[tuple[str, str]]:
        fits.append(file)
        with suppress(BrokenBarrierError):
            second.wait(timeout=0.2)  # a second thread would come in here, were it let in
        return [("tea", "tea"), ("coffee", "coffee")]

    monkeypatch.setattr(tasks, "read_messages", read_messages)
    with ThreadPoolExecutor(2) as threads:
        models = list(threads.map(lambda _: tasks.model(), range(2)))
    assert fits == [training]
    assert models[0] is models[1]


def test_training_may_have_a_byte_order_mark_more_columns_and_lines_within_a_text(training: Path) -> None:
    training.write_bytes(b'\xef\xbb\xbfid,category,text\r\n1,praise,"Hello,\r\nthank you"\r\n')
    assert tasks.read_messages(training) == [("Hello,\nthank you", "praise")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ":1: has no column category and no column text"),
        (b"text,topic\nhello,praise\n", ":1: has no column category"),
        (b"text,category\n", ": holds no messages"),
        (b"text,category\nhello,praise\nhello\n", ":3: is not one text and one category"),
        (b"text,category\nhello,praise\nhello, you,praise\n", ":3: is not one text and one category"),
        (b"text,category\n,praise\n", ":2: is not one text and one category"),
        (b'text,category\n"hello" you,praise\n', ":2: ',' expected after '\"'"),
        (b'text,category\nhello,praise\n"hello,praise\n', ":3: unexpected end of data"),
        (b"text,category\nhello,praise\ncaf\xe9,praise\n", ":3: is not UTF-8"),
    ],
)
def test_a_malformed_training_file_is_refused_with_its_name_and_line(
    training: Path, content: bytes, fault: str
) -> None:
    training.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        tasks.model()
    assert str(caught.value) == f"{training}{fault}"
