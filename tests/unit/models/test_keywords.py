"""Keywords: no disguise passes by, and what is no disguise is left alone."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera.models.gate.rules import DEFAULT_RULES
from chimera.models.text.finders import Keywords
from chimera.models.text.folding import Folded
from chimera.models.text.keywords import has_letters
from chimera.models.text.look_alikes import LOOK_ALIKES
from chimera.models.text.topics import TOPICS
from tests.unit import strategies  # noqa: F401  its profile

ALL = sorted(
    {word for rule in DEFAULT_RULES for word in rule.keywords or ()} | {w for ws in TOPICS.values() for w in ws}
)
FINDER = Keywords(ALL)


def found(text: str, keywords: Iterable[str] | None = None) -> list[str]:
    finder = FINDER if keywords is None else Keywords([*keywords])
    return [text[start:end] for start, end in finder.find(Folded(text))]


TRICKS = {
    "as it is": "password",
    "capitals": "PaSsWoRd",
    "Cyrillic": "раssword",
    "all Cyrillic that looks like it": "раѕѕԝоrԁ",
    "Greek": "pαsswοrd",
    "wide": "ｐａｓｓｗｏｒｄ",
    "mathematical": "𝗽𝗮𝘀𝘀𝘄𝗼𝗿𝗱",
    "script": "𝓹𝓪𝓼𝓼𝔀𝓸𝓻𝓭",
    "circled": "ⓟⓐⓢⓢⓦⓞⓡⓓ",
    "small capitals": "ᴘᴀꜱꜱᴡᴏʀᴅ",
    "flags": "🇵🇦🇸🇸🇼🇴🇷🇩",
    "accents": "pâsswörd",
    "marks": "p\u0336a\u0336s\u0336s\u0336w\u0336o\u0336r\u0336d",
    "zero width": "p\u200ba\u200cs\u200ds\u2060w\ufeffo\u00adr\u180ed",
    "right to left": "pass\u202eword",
    "tags": "pass\U000e0020word",
    "variation selectors": "p\ufe0fa\ufe0fssword",
    "spaces": "p a s s w o r d",
    "wide spaces": "p\u3000a\u00a0s\u2003s w o r d",
    "many spaces": "p  a  s  s   w  o  r  d",
    "lines": "p\na\ns\ns\nw\no\nr\nd",
    "dots": "p.a.s.s.w.o.r.d",
    "middle dots": "p·a·s·s·w·o·r·d",
    "dashes": "p-a–s—s-w-o-r-d",
    "underscores": "p_a_s_s_w_o_r_d",
    "stars": "p*a*s*s*w*o*r*d",
    "bars": "p | a | s | s | w | o | r | d",
    "emoji": "p😀a😀s😀s😀w😀o😀r😀d",
    "one dot": "pass.word",
    "one space": "pass word",
    "few spaces": "pa ss wo rd",
    "broken line": "pass-word",
    "control characters": "pass\x00wo\x1brd",
    "digits": "p4ssw0rd",
    "signs": "p@$$w0rd",
    "all at once": "Ｐ\u200b 4 \u0301ѕ․5 ẁ·ο ｒ．ԁ",
}


@pytest.mark.parametrize("text", TRICKS.values(), ids=TRICKS.keys())
def test_no_trick_passes_by_and_the_place_covers_it(text: str) -> None:
    assert found(text) == [text]
    assert found(f"see: {text}, or not") == [text]


BY_LETTER: dict[str, list[str]] = {}
for other, letter in LOOK_ALIKES.items():
    BY_LETTER.setdefault(letter.lower(), []).append(other)
UNSEEN = st.sampled_from(["", "", "\u200b", "\u200d", "\u00ad", "\ufe0f", "\u0301", "\u0336", "\u2060"])
BETWEEN = st.sampled_from([" ", ".", "-", "_", "*", " - ", "  ", "·", "\u00a0", "\n", "😀"])


def disguised(letter: str) -> st.SearchStrategy[str]:
    forms = [letter, letter.upper(), *BY_LETTER.get(letter.lower(), [])]
    if letter.isascii() and letter.isalpha():
        forms += [chr(0xFF41 + ord(letter.lower()) - 97), chr(0x1D41A + ord(letter.lower()) - 97)]
    return st.tuples(st.sampled_from(forms), UNSEEN).map("".join)


@st.composite
def disguises(draw: st.DrawFn) -> tuple[str, str]:
    """A keyword, and the same in disguise."""
    keyword = draw(st.sampled_from(ALL))
    apart = draw(st.booleans()) and len(keyword) > 3
    words = []
    for word in keyword.split():
        letters = [draw(disguised(letter)) for letter in word]
        words.append((draw(BETWEEN) if apart else "").join(letters))
    return keyword, ("   " if apart else draw(st.sampled_from([" ", "_", "-", "\u00a0"]))).join(words)


@given(
    disguises(), st.sampled_from(["", "ok, ", "漢字", "😀 ", "(", "\n"]), st.sampled_from(["", ".", " ok", "漢字", "!"])
)
def test_any_keyword_in_any_disguise_is_found_where_it_is(both: tuple[str, str], before: str, behind: str) -> None:
    keyword, text = both
    whole = before + text + behind
    places = [*Keywords([keyword]).find(Folded(whole))]
    assert len(places) == 1
    [(start, end)] = places
    assert start == len(before)
    # What cannot be seen behind the last letter may be left out.
    assert whole[end : len(before) + len(text)] == "" or not re.search(r"\w", whole[end : len(before) + len(text)])


@pytest.mark.parametrize(
    "text",
    [
        "passwordless", "xpassword", "passwordю", "ıpassword", "2password", "password2",
        "p.s. a word", "compass. Words", "pass, word", "pass: word", "s e c r e t a r y", "s u e", "4553",
        "in. Court", "the law. Suit", "1234567890", "e1ect10n5x", "sue. You", "delete: all",
    ],
)  # fmt: skip
def test_what_is_no_disguise_is_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("keyword", "text", "piece"),
    [
        ("пароль", "мой ПАРОЛЬ такой", "ПАРОЛЬ"),
        ("пароль", "п а р о л ь", "п а р о л ь"),
        ("κωδικός", "ο ΚΩΔΙΚΟΣ μου", "ΚΩΔΙΚΟΣ"),
        ("Straße", "die STRASSE", "STRASSE"),
        ("Straße", "die strasse", "strasse"),
        ("密码", "我的密码是", "密码"),
        ("كلمة السر", "هذه كلمة السر هنا", "كلمة السر"),
        ("पासवर्ड", "मेरा पासवर्ड है", "पासवर्ड"),
        ("C++", "I know c++ well", "c++"),
        ("top-secret", "Top Secret!", "Top Secret"),
        ("top secret", "top_secret", "top_secret"),
        ("naïve", "so naive", "naive"),
        ("AB", "an ab, a b", "ab"),
        ("007", "agent 007.", "007"),
        ("7-eleven", "at 7 Eleven", "7 Eleven"),
    ],
)
def test_keywords_of_any_script_are_whole_words(keyword: str, text: str, piece: str) -> None:
    assert found(text, [keyword]) == [piece]


@pytest.mark.parametrize(
    ("keyword", "text"), [("пароль", "паролью"), ("密码", "密-码码头"), ("AB", "abc"), ("007", "1007")]
)
def test_and_not_parts_of_them(keyword: str, text: str) -> None:
    assert found(text, [keyword]) in ([], ["密-码"])


def test_a_keyword_needs_something_to_be_found_by() -> None:
    assert has_letters("C++")
    assert has_letters("密")
    assert not has_letters("-- \u200b")


@given(st.text(min_size=1, max_size=20).filter(has_letters))
@example("0\U00016f8f")
def test_any_keyword_can_be_looked_for_and_is_found_as_it_is(keyword: str) -> None:
    assert len(found(f"( {keyword.strip()} )", [keyword])) >= 1
