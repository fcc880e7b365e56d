"""Rules on text: what fires, where, and what does not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera.models.record import canonical_json
from chimera.models.rules import DEFAULT_RULES, TextRule, TextRules, luhn, texts
from tests.unit.strategies import JSON

RULES = TextRules()
CARD = "4111 1111 1111 1111"
SSN = "123-45-6789"


def fired(text: str) -> dict[str, list[str]]:
    """What each rule found in a text, by the rule's name."""
    reasons = RULES.fired({"output": text})
    return {reason.rule: [text[span.start : span.end] for span in reason.spans] for reason in reasons}


@pytest.mark.parametrize(
    ("text", "rule", "found"),
    [
        ("my Password!", "keyword.password", "Password"),
        ("PASSPHRASES", "keyword.password", "PASSPHRASES"),
        ("the passcode.", "keyword.password", "passcode"),
        ("user_password=", "keyword.password", "password"),
        ("a secret key", "keyword.secret_key", "secret key"),
        ("API-KEYS", "keyword.secret_key", "API-KEYS"),
        ("PRIVATE_KEY", "keyword.secret_key", "PRIVATE_KEY"),
        ("please delete all of it", "keyword.delete_all", "delete all"),
        ("override security", "keyword.override_security", "override security"),
        (f"it is {SSN}.", "pii.ssn", SSN),
        (f"card {CARD}", "pii.card_number", CARD),
        ("4111-1111-1111-1111", "pii.card_number", "4111-1111-1111-1111"),
        ("4111111111111111", "pii.card_number", "4111111111111111"),
        ("378282246310005", "pii.card_number", "378282246310005"),
        ("the election", "topic.politics", "election"),
        ("political parties", "topic.politics", "political parties"),
        ("a diagnosis", "topic.health_advice", "diagnosis"),
        ("she is pregnant", "topic.health_advice", "pregnant"),
        ("Should I invest", "topic.financial_advice", "Should I invest"),
        ("investment advice", "topic.financial_advice", "investment advice"),
        ("my lawyer", "topic.legal_claims", "lawyer"),
        ("we will sue you", "topic.legal_claims", "sue you"),
    ],
)
def test_a_rule_fires_and_says_where(text: str, rule: str, found: str) -> None:
    assert fired(text) == {rule: [found]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "compass, trespass and passport",
        "a lawyerly tone",
        "selections",
        "delete them all",
        "keys to the house",
        "1234-56-789 and 123-456-789",
        "1123-45-6789",
        "x123-45-6789",
        "4111 1111 1111 1112",  # fails the check digit
        "123456789012",  # too short
        "41111111111111110000",  # too long
        "2026-03-01 12:00:00",
    ],
)
def test_what_only_looks_alike_does_not_fire(text: str) -> None:
    assert fired(text) == {}


def test_every_place_is_named() -> None:
    record: dict[str, object] = {"a": "password, password", "b": [{"c": "PASSWORD"}]}
    [reason] = RULES.fired(record)
    places = [(span.path, span.start, span.end) for span in reason.spans]
    assert places == [("a", 0, 8), ("a", 10, 18), ("b.0.c", 0, 8)]


def test_several_rules_fire_on_one_text() -> None:
    assert fired("My lawyer has the password") == {
        "topic.legal_claims": ["lawyer"],
        "keyword.password": ["password"],
    }


def test_offsets_count_characters_after_any_other_script() -> None:
    assert fired("Здравствуйте 😀 password") == {"keyword.password": ["password"]}


@pytest.mark.parametrize(
    "text",
    [
        f"order 77 {SSN}",
        f"call 555-123-4567 {SSN}",
        f"12345678 {SSN}",
    ],
)
def test_a_number_before_it_does_not_hide_an_ssn(text: str) -> None:
    assert fired(text).get("pii.ssn") == [SSN]


@pytest.mark.parametrize(
    "text",
    [
        f"order 7 {CARD}",
        f"{CARD} 12/27",
        f"{CARD} 123",
        f"{CARD} {CARD[::-1]}",
        f"2026 {CARD}",
    ],
    ids=["before", "expiry", "cvc", "two", "year"],
)
def test_a_number_beside_it_does_not_hide_a_card_number(text: str) -> None:
    assert "pii.card_number" in fired(text)


@pytest.mark.parametrize("key", [CARD, SSN])
def test_a_reason_never_holds_the_text_itself_not_even_of_a_key(key: str) -> None:
    reasons = RULES.fired({"output": {key: {"note": "delete all"}}})
    assert reasons
    assert key not in canonical_json([reason.model_dump(mode="json") for reason in reasons])


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("4111111111111111", True),
        ("4111 1111 1111 1111", True),
        ("5500-0000-0000-0004", True),
        ("378282246310005", True),
        ("6011000990139424", True),
        ("79927398713", True),
        ("4111111111111112", False),
        ("1411111111111111", False),
        ("0", True),
        ("18", True),
        ("19", False),
    ],
)
def test_the_check_digit_is_that_of_payment_cards(number: str, valid: bool) -> None:
    assert luhn(number) is valid


@given(st.integers(10**12, 10**19 - 1))
def test_exactly_one_check_digit_is_right(number: int) -> None:
    assert sum(luhn(f"{number}{digit}") for digit in range(10)) == 1


PIECES = st.sampled_from(
    [CARD, SSN, "password", "delete all", "lawyer", "secret_key", "7", "x", " ", "-", "_", "é", "\n"]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
def test_what_a_rule_points_at_is_a_match_of_it(text: str) -> None:
    patterns = {rule.name: rule.pattern for rule in DEFAULT_RULES}
    for rule, found in fired(text).items():
        for piece in found:
            if rule == "pii.card_number":
                assert luhn(piece)
                assert 13 <= sum(char.isdigit() for char in piece) <= 19
            else:
                assert re.fullmatch(patterns[rule], piece, re.IGNORECASE)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_rule_that_fires_on_a_text_fires_wherever_the_text_is(text: str) -> None:
    for place in (text, [{"b": text}], {text: 1}):
        assert {reason.rule for reason in RULES.fired({"a": place})} == set(fired(text))


@given(JSON)
def test_any_json_can_be_looked_at(value: object) -> None:
    assert list(texts(value)) == list(texts(value))
    RULES.fired({"output": value})


def test_rules_of_one_s_own_replace_the_default_ones() -> None:
    rules = TextRules(rules=(TextRule(name="code.name", pattern="ti(?:g)er|(li)on"),))
    found = [(reason.rule, reason.spans[0].start) for reason in rules.fired({"a": "a lion", "b": "password"})]
    assert found == [("code.name", 2)]


def test_card_numbers_are_looked_for_unless_that_is_turned_off() -> None:
    assert TextRules(card_numbers=False).fired({"a": CARD, "b": "password"})[0].rule == "keyword.password"
    assert TextRules(rules=()).fired({"a": CARD})[0].rule == "pii.card_number"


def test_no_rules_never_fire() -> None:
    assert TextRules(rules=()).fired({"a": "password", "b": ""}) == ()
