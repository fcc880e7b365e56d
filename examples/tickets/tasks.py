"""The sample job's skill and planner: find what a customer's message is about, and draft the first reply."""

import csv
import functools
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, ValidationInfo

from chimera import SkillFailed, Success, TaskSpec, planner, skill
from chimera.errors import InvalidInput
from examples.tickets.model import Model

# The replies never quote the message: what a customer wrote by mistake must not travel on.
REPLIES = {
    "cancellation": "We will stop this for you and confirm it by e-mail, with the date from which it holds.",
    "complaint": "We are sorry that we let you down. The head of our team will write to you.",
    "damaged_item": "We are sorry that it did not reach you in good order. Could you send us a photo?",
    "delivery": "We are asking the carrier where your parcel is, and will write to you as soon as we know.",
    "invoice": "Our accounts team will check the document and send you what you need.",
    "login": "A colleague will check your account and help you back into it.",
    "payment": "We are comparing your payment with our books, and will tell you what we find.",
    "praise": "How kind of you to write! We have passed it on to everyone who had a part in it.",
    "product_question": "Thank you for your interest. A colleague who knows the product will answer you.",
    "refund": "We are checking your return, and will tell you when the money is on its way.",
}
REPLY = "Somebody who knows about this will answer you soon."


class Triage(BaseModel):
    """What a message is about, and the draft of a reply to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: str
    reply: str


@skill(name="tickets.triage", max_batch=100, timeout_seconds=30)
def triage(text: str) -> Success[Triage]:
    """Sorts a customer's message into a category and drafts the first reply."""
    try:
        found = model().classify(text)
    except InvalidInput as exc:  # trying again would find the same training file
        raise SkillFailed(str(exc), code="no_training", retryable=False) from exc
    reply = f"Thank you for your message. {REPLIES.get(found.category, REPLY)}"
    return Success(
        Triage(category=found.category, reply=reply),
        confidence=found.probability,
        evidence=found.evidence,
    )


Row = dict[str, JsonValue]


def each_has_a_text(rows: list[Row], info: ValidationInfo) -> list[Row]:
    """The rows, if each has a text: so a blank one is refused when the plan is submitted."""
    column = info.data.get("text_column", "text")
    for number, row in enumerate(rows, start=1):
        if not as_text(row.get(column)).strip():
            raise ValueError(f"row {number} has no text in column {column!r}; its columns: {', '.join(sorted(row))}")
    return rows


# The rows come last: what they are checked by is read before them.
@planner(name="tickets")
def tickets(
    *,
    text_column: str = "text",
    label_column: str = "category",
    rows: Annotated[list[Row], AfterValidator(each_has_a_text)],
) -> Iterator[TaskSpec]:
    """Makes a task of each row; a row's label, where it has one, is kept for the score."""
    for row in rows:
        task = triage.task(text=as_text(row[text_column]))
        label = as_text(row.get(label_column))
        yield task.options(label={"category": label}) if label else task


def as_text(value: JsonValue) -> str:
    """A text as it is, nothing for null, and JSON for all else: rows of JSON Lines have numbers, too."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def model() -> Model:
    """The model, fitted when a process first needs it, to the file that TICKETS_TRAINING names.

    Raises:
        InvalidInput: the file cannot be read or does not hold labelled messages.
    """
    with _fitting:  # the cache alone would let two threads fit at the same time
        return _fit(Path(os.environ.get("TICKETS_TRAINING") or Path(__file__).with_name("training.csv")))


_fitting = threading.Lock()


@functools.cache
def _fit(training: Path) -> Model:
    return Model.fit(read_messages(training))


def read_messages(file: Path) -> list[tuple[str, str]]:
    """The texts and categories in a CSV file in UTF-8 with columns of these names.

    Raises:
        InvalidInput: the file is not there or malformed; the message names the file and the line.
    """
    try:
        content = file.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise InvalidInput(f"{file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise InvalidInput(f"{file}:{line}: is not UTF-8") from exc
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    messages = []
    try:
        if missing := {"text", "category"} - set(reader.fieldnames or ()):
            raise InvalidInput(f"{file}:1: has no column {' and no column '.join(sorted(missing))}")
        for row in reader:
            if None in row or not (row["text"] and row["category"]):
                raise InvalidInput(f"{file}:{reader.line_num}: is not one text and one category")
            messages.append((row["text"], row["category"]))
    except csv.Error as exc:
        raise InvalidInput(f"{file}:{reader.reader.line_num}: {exc}") from exc
    if not messages:
        raise InvalidInput(f"{file}: holds no messages")
    return messages
