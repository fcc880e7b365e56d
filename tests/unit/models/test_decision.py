"""Reasons as people read them."""

import pytest

from chimera.models.work.decision import Reason, Span


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason(rule="confidence.missing"), "confidence.missing"),
        (Reason(rule="confidence.below", threshold=0.7, value=0.61), "confidence.below 0.61 < 0.7"),
        (Reason(rule="confidence.below", threshold=0.7, value="none"), "confidence.below none < 0.7"),
        (Reason(rule="confidence.invalid", value=1.01), "confidence.invalid 1.01"),
        (Reason(rule="attempts.exhausted", value=3), "attempts.exhausted 3"),
        (Reason(rule="state.changed", value="limits/eu"), "state.changed limits/eu"),
        (
            Reason(
                rule="keyword.password",
                spans=(
                    Span(path="output.reply", start=0, end=8),
                    Span(path="output.reply", start=9, end=17),
                    Span(path="input.text", start=0, end=8),
                ),
            ),
            "keyword.password in output.reply, input.text",
        ),
    ],
)
def test_a_reason_reads_as_one_line(reason: Reason, text: str) -> None:
    assert str(reason) == text


def test_a_confidence_just_below_does_not_read_as_if_it_were_enough() -> None:
    assert str(Reason(rule="confidence.below", threshold=0.7, value=0.6999)) != "confidence.below 0.70 < 0.7"
