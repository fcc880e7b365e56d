import pytest

from chimera.cli.text import marked, one_line, pieces, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold]text[/] €", "plain [bold]text[/] €"),
        ("\x1b[31mred\x1b[0m", "<U+001B>[31mred<U+001B>[0m"),
        ("\x1b]0;title\x07", "<U+001B>]0;title<U+0007>"),
        ("\x9b31m", "<U+009B>31m"),
        ("a\rb", "a<U+000D>b"),
        ("a\x7f\x08\x00", "a<U+007F><U+0008><U+0000>"),
        ("abc\u202edef\u2066x\u200f", "abc<U+202E>def<U+2066>x<U+200F>"),
        ("pass\u200bword\u2060\ufeff\u00ad", "pass<U+200B>word<U+2060><U+FEFF><U+00AD>"),
        ("a\U000e0041\U000e007f", "a<U+E0041><U+E007F>"),
        ("x\u3164\u115f\u2800\ufe01", "x<U+3164><U+115F><U+2800><U+FE01>"),
        ("a\u2028b\u2029", "a<U+2028>b<U+2029>"),
        ("\ud800", "<U+D800>"),
        ("\ue000", "<U+E000>"),
        ("Grüße, 日本, שלום, ❤\ufe0f, 10\u00a0€", "Grüße, 日本, שלום, ❤\ufe0f, 10\u00a0€"),
        ("line\nline\ttab", "line<U+000A>line<U+0009>tab"),
    ],
)
def test_what_is_not_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_are_kept_where_asked_for() -> None:
    assert visible("a\r\nb\n\tc\rd", lines=True) == "a\nb\n\tc<U+000D>d"


def test_one_line() -> None:
    assert one_line("  a\n\n b\t\x1bc ") == "a b <U+001B>c"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


def test_pieces_are_the_text_cut_at_the_spans() -> None:
    assert list(pieces("abcdef", [(1, 3)])) == [("a", False), ("bc", True), ("def", False)]
    assert list(pieces("abcdef", [(0, 6)])) == [("abcdef", True)]
    assert list(pieces("abcdef", [])) == [("abcdef", False)]
    assert list(pieces("", [(0, 3)])) == []


def test_spans_may_overlap_come_in_any_order_or_lie_outside() -> None:
    assert list(pieces("abcdef", [(2, 4), (1, 3), (5, 99), (7, 9), (2, 2)])) == [
        ("a", False),
        ("bc", True),
        ("d", True),
        ("e", False),
        ("f", True),
    ]


def test_marks_stand_around_the_raw_places() -> None:
    assert marked("\x1bmy password\u202e", [(4, 12)]) == "<U+001B>my >>password<<<U+202E>"
