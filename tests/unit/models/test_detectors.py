"""Detectors: what they find, what they leave, and how well on labelled texts."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from chimera.models.text.credentials import looks_random
from chimera.models.text.detectors import Detected, Detector
from chimera.models.text.engine import any_of
from chimera.models.text.folding import Folded
from tests.unit import strategies  # noqa: F401  its profile
from tests.unit.models.labelled import labelled, scores

FINDERS = {detector: Detected(detector) for detector in Detector}
CARD = "4111 1111 1111 1111"
SSN = "123-45-6789"


def found(detector: Detector, text: str) -> list[str]:
    return [text[start:end] for start, end in FINDERS[detector].find(Folded(text))]


# What the detectors reach on the labelled texts: precision, recall. docs/rules.md shows them beside another's.
REACHED = {
    Detector.CARD_NUMBER: (1.0, 1.0),
    Detector.SSN: (0.9, 1.0),
    Detector.IBAN: (1.0, 1.0),
    Detector.EMAIL: (1.0, 1.0),
    Detector.PHONE: (1.0, 0.84),
    Detector.CREDENTIAL: (1.0, 1.0),
}


def test_labelled_texts_are_told_apart_as_well_as_the_documentation_says() -> None:
    assert {label[0] for each in labelled() for label in each.labels} == set(Detector)
    by_kind = scores(list(Detector), lambda kind, text: FINDERS[Detector(kind)].find(Folded(text)))
    for kind, score in by_kind.items():
        precision, recall = REACHED[Detector(kind)]
        assert (score.precision >= precision, score.recall >= recall) == (True, True), (kind, score)


@pytest.mark.parametrize("detector", Detector)
def test_the_signs_match_wherever_something_is_found_also_among_other_lines(detector: Detector) -> None:
    (signs,) = any_of(FINDERS[detector].signs)
    for text, _ in labelled():
        if found(detector, text):
            assert signs.search(Folded(f"1\n{text}\n1").data) is not None


@pytest.mark.parametrize(
    "text",
    [f"order 7 {CARD}", f"{CARD} 12/27", f"{CARD} 123", f"{CARD} {CARD[::-1]}", f"2026 {CARD}", f"{CARD} 12a"],
    ids=["before", "expiry", "cvc", "two", "year", "letters"],
)
def test_a_number_beside_it_does_not_hide_a_card_number(text: str) -> None:
    assert CARD in found(Detector.CARD_NUMBER, text)


@pytest.mark.parametrize("text", [f"order 77 {SSN}", f"call 555-123-4567 {SSN}", f"12345678 {SSN}", f"{SSN},{SSN}"])
def test_a_number_before_it_does_not_hide_an_ssn(text: str) -> None:
    assert set(found(Detector.SSN, text)) == {SSN}


@pytest.mark.parametrize("number", ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"])
def test_a_number_that_is_never_issued_is_no_ssn(number: str) -> None:
    assert found(Detector.SSN, number) == found(Detector.SSN, f"SSN {number}") == []


@pytest.mark.parametrize(
    ("detector", "text"),
    [
        (Detector.CARD_NUMBER, "1" * 16),
        (Detector.CARD_NUMBER, "x4111111111111111"),
        (Detector.CARD_NUMBER, "4111111111111111x"),
        (Detector.CARD_NUMBER, "0.4111111111111111"),
        (Detector.CARD_NUMBER, "41 111 1111 11 11111"),
        (Detector.CARD_NUMBER, "5018 9882 9897 4813"),
        (Detector.CARD_NUMBER, "5 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        (Detector.IBAN, "DE89 3704 0044 0532 0130 0"),
        (Detector.IBAN, "DE893704004405320130000"),
        (Detector.IBAN, "XDE89370400440532013000"),
        (Detector.IBAN, "XX89370400440532013000"),
        (Detector.EMAIL, "a@b, a@localhost, @c.de, a@.de, a@b..de, a b@c.1"),
        (Detector.PHONE, "+49 1, +0 123456789, 111-111-1111, (000) 000-0000, 212 736 500, a212-736-5000"),
        (Detector.CREDENTIAL, "password: ask_your_administrator_for_it"),
        (Detector.CREDENTIAL, "AKIA is the prefix; eyJ. too; -----BEGIN PUBLIC KEY-----"),
        (Detector.CREDENTIAL, "https://user:$PASSWORD@host https://user:{pw}@host https://user:password@host"),
    ],
)
def test_what_only_looks_alike_is_left_alone(detector: Detector, text: str) -> None:
    assert found(detector, text) == []


@pytest.mark.parametrize(
    "text",
    ["5018 9882 9897 4812", "5018.0367.1913.1917", "501898829897", "3782/822463-10005", "3782 822463/10005"],
)
def test_a_number_is_found_whole_however_it_is_grouped(text: str) -> None:
    assert found(Detector.CARD_NUMBER, f"card {text}!") == [text]


DIGITS_AND_SIGNS = st.text("0123456789" * 3 + " .-_/,\t\n|~*+()", max_size=80)


@given(st.sampled_from(Detector), st.sampled_from(["", CARD, "3782/", "5018 ", SSN, "DE89"]), DIGITS_AND_SIGNS)
def test_no_row_of_digits_and_signs_is_more_than_a_detector_can_read(detector: Detector, first: str, text: str) -> None:
    for each in found(detector, f"{first}{text}"):
        assert each in f"{first}{text}"


PREFIXES = st.sampled_from(["4", "51", "55", "2221", "2720", "34", "37", "36", "6011", "65", "62", "3528", "5018"])
LENGTHS = {"34": 15, "37": 15, "36": 14}


@given(PREFIXES, st.randoms(use_true_random=False), st.sampled_from(["", " ", "-", ".", "  "]))
def test_exactly_one_check_digit_makes_a_card_number(prefix: str, rng: random.Random, between: str) -> None:
    length = LENGTHS.get(prefix, 16)
    body = prefix + "".join(rng.choices(string.digits, k=length - 1 - len(prefix)))
    hits = []
    for digit in string.digits:
        number = body + digit
        text = between.join(number[place : place + 4] for place in range(0, length, 4))
        if found(Detector.CARD_NUMBER, f"card {text}!") == [text]:
            hits.append(digit)
    assert hits == [luhn.calc_check_digit(body)]


@given(st.randoms(use_true_random=False), st.sampled_from(["", " ", "-"]))
def test_one_pair_of_check_digits_makes_an_account_number(rng: random.Random, between: str) -> None:
    account = "".join(rng.choices(string.digits, k=18))
    right = iban.calc_check_digits(f"DE00{account}")
    for digits in {right, f"{(int(right) + rng.randint(1, 96)) % 97 + 1:02}"}:
        number = f"DE{digits}{account}"
        text = between.join(number[place : place + 4] for place in range(0, len(number), 4))
        assert found(Detector.IBAN, f"to {text}, today") == ([text] if iban.is_valid(number) else [])


@pytest.mark.parametrize("alphabet", [string.ascii_letters + string.digits, string.hexdigits.lower()[:16]])
def test_what_is_drawn_at_random_looks_so(alphabet: str) -> None:
    rng = random.Random(7)
    drawn = ["".join(rng.choices(alphabet, k=32)).encode() for _ in range(500)]
    assert sum(map(looks_random, drawn)) >= 490


@pytest.mark.parametrize(
    "value",
    [
        "a_long_name_of_a_variable", "refresh_token_expires_in_3600", "1111111111111111", "abcdefghijklmnop",
        "2026-11-21T10:30:45", "application.properties.v2", "CamelCaseNameOfSomeClass2",
    ],
)  # fmt: skip
def test_names_and_numbers_do_not(value: str) -> None:
    assert not looks_random(value.encode())


@given(st.sampled_from(Detector), st.text(max_size=60) | st.text("0123456789 -.+()@AZaz:/_=", max_size=60))
def test_any_text_can_be_looked_at(detector: Detector, text: str) -> None:
    places = [*FINDERS[detector].find(Folded(text))]
    assert all(0 <= start < end <= len(text) for start, end in places)
