"""Folding: what texts look like, and where it came from."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.text.folding import AsItIs, Folded, fold
from chimera.models.text.look_alikes import LOOK_ALIKES
from tests.unit import strategies  # noqa: F401  its profile

ANY = st.text(max_size=30) | st.text(st.characters(codec=None), max_size=10)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("plain ASCII stays, Case too: {x}\x00\n", "plain ASCII stays, Case too: {x}\x00\n"),
        ("раsswоrd", "password"),  # Cyrillic
        ("ραsswοrd", "password"),  # Greek
        ("ᏢᎪᏚᏚ", "PASS"),  # Cherokee
        ("ｐａｓｓｗｏｒｄ", "password"),
        ("𝓹𝓪𝓼𝓼𝔀𝓸𝓻𝓭 𝐏𝐀𝐒𝐒 𝖕𝖆𝖘𝖘 𝚙𝚊𝚜𝚜", "password PASS pass pass"),
        ("ⓟⓐⓢⓢ 🄿🄰🅂🅂 🅟🅐🅢🅢 🅿🅰🆂🆂 🇵🇦🇸🇸 ⒫⒜⒮⒮", "pass PASS PASS PASS PASS PASS"),
        ("pässwörd p\u0301a\u0300s\u0336s\u20dd", "password pass"),
        ("ᴘᴀꜱꜱᴡᴏʀᴅ ᵖᵃˢˢ ₚₐₛₛ", "PAsswoRD pass pass"),
        ("pass\u200bwo\u00adrd\ufeff\u2060\u202e\ufe0f\U000e0041", "password"),
        ("pass\u00a0word\u3000x\u2028y", "pass word x y"),
        ("øłđħŧı", "oldhti"),
        ("ﬁ ﬀ ĳ ㎏ ½", "fi ff ij kg 1~2"),
        ("Straße ẞ", "Strasse ss"),
        ("١٢٣ १२३ １２３ ①②③ ₁²³ 𝟙𝟚𝟛", "123 123 123 123 123 123"),
        ("a–b—c‑d−e", "a-b-c-d-e"),
        ("“a” ‘b’ «c»", "'a' 'b' 'c'"),
        ("№ 5 · • 😀", "# 5 ~ ~ ~"),
        ("\ud800\ue000\U0010ffff", "~~~"),
        ("漢字 한국어 ありがとう", "漢字 한국어 ありがとう"),
        ("नमस्ते", "नमस्ते"),
        ("p\u093fa\u0947", "pa"),  # vowels of Devanagari on letters of ASCII
    ],
)
def test_a_text_folds_to_what_it_looks_like(text: str, looks: str) -> None:
    assert fold(text) == looks


def test_every_look_alike_is_one_letter_for_one_letter() -> None:
    assert all(len(other) == len(letter) == 1 for other, letter in LOOK_ALIKES.items())
    assert all(not other.isascii() and letter.isascii() and letter.isalpha() for other, letter in LOOK_ALIKES.items())


def test_every_letter_with_marks_folds_to_its_letter() -> None:
    for char in map(chr, range(0x80, sys.maxunicode + 1)):
        base = unicodedata.normalize("NFKD", char)[:1]
        if unicodedata.name(char, "").startswith("LATIN") and base.isascii() and base.isalpha():
            assert fold(char)[:1].lower() in {base.lower(), LOOK_ALIKES.get(char, "").lower()}, char


@given(ANY)
def test_folding_twice_is_folding_once_for_what_became_ascii(text: str) -> None:
    once = fold(text)
    if once.isascii():
        assert fold(once) == once


@given(ANY, ANY)
def test_lines_fold_as_they_do_alone(one: str, other: str) -> None:
    assert fold(f"{one}\n{other}") == f"{fold(one)}\n{fold(other)}"


@given(ANY, st.data())
def test_a_place_is_told_as_the_characters_that_it_came_from(text: str, data: st.DataObject) -> None:
    folded = Folded(text)
    assert folded.data.decode() == fold(text)
    if folded.data:
        start = data.draw(st.integers(0, len(folded.data) - 1))
        end = data.draw(st.integers(start + 1, len(folded.data)))
        first, last = folded.place(start, end)
        sizes = [len(fold(text[:place]).encode()) for place in (first, first + 1, last - 1, last)]
        assert sizes[0] <= start < sizes[1]
        assert sizes[2] < end <= sizes[3]


@given(ANY, st.data())
def test_places_in_a_text_as_it_is(text: str, data: st.DataObject) -> None:
    if text:
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        in_bytes = [len(text[:place].encode(errors="replace")) for place in (start, end)]
        assert AsItIs(text).place(*in_bytes) == (start, end)


@pytest.mark.exhaustive(keep=3)
@pytest.mark.parametrize("plane", range(17))
def test_characters_of_every_kind_fold(plane: int) -> None:
    text = "".join(map(chr, range(plane * 0x10000, (plane + 1) * 0x10000)))
    folded = Folded(text)
    assert folded.place(0, len(folded.data))[1] <= len(text)
