"""Rules on text: what fires, where, and what does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chimera.models.gate.policy import Policy
from chimera.models.gate.rules import DEFAULT_RULES, MOST_SPANS, Fired, Part, Rule, TextRules, Then
from chimera.models.record import canonical_json
from tests.unit.strategies import JSON

RULES = TextRules(DEFAULT_RULES)
CARD = "4111 1111 1111 1111"
SSN = "123-45-6789"
IBAN = "DE89 3704 0044 0532 0130 00"
MAIL = "ines.ferro@example.net"


def found(rules: TextRules, text: str, part: str = "output") -> dict[str, list[str]]:
    """What each rule found in a text, by the rule's name."""
    return {
        each.rule: [text[span.start : span.end] for span in each.spans] for each in rules.fired("any", {part: text})
    }


def fired(text: str, part: str = "output") -> dict[str, list[str]]:
    return found(RULES, text, part)


def rule(**fields: Any) -> Rule:
    return Rule.model_validate({"name": "a.rule", **fields}, strict=False)


@pytest.mark.parametrize(
    ("text", "name", "piece"),
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
        ("key AKIAIOSFODNN7EXAMPLE", "secret.credential", "AKIAIOSFODNN7EXAMPLE"),
        (f"it is {SSN}.", "pii.ssn", SSN),
        (f"card {CARD}", "pii.card_number", CARD),
        ("4111-1111-1111-1111", "pii.card_number", "4111-1111-1111-1111"),
        ("4111111111111111", "pii.card_number", "4111111111111111"),
        ("378282246310005", "pii.card_number", "378282246310005"),
        (f"to {IBAN}.", "pii.iban", IBAN),
        (f"to {MAIL}.", "pii.email", MAIL),
        ("call +49 30 901820", "pii.phone", "+49 30 901820"),
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
def test_a_rule_fires_and_says_where(text: str, name: str, piece: str) -> None:
    assert fired(text) == {name: [piece]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "compass, trespass and passport",
        "a lawyerly tone",
        "selections",
        "delete them all",
        "keys to the house",
        "your boarding pass: code 4 of the list",
        "I passed. Words fail me",
        "The law. Suit yourself",
        "Log in. Court is adjourned",
        "1234-56-789 and 123-456-789",
        "1123-45-6789",
        "x123-45-6789",
        "4111 1111 1111 1112",  # fails the check digit
        "123456789012",  # too short
        "41111111111111110000",  # too long
        "2026-03-01 12:00:00",
        "Passé composé, naïve café, Ærøskøbing, Straße",
        "Привет, как дела? Мой заказ не пришёл",
        "Η παραγγελία μου δεν έφτασε",
        "注文した商品がまだ届きません",
        "मेरा ऑर्डर नहीं आया",
        "طلبي لم يصل بعد",
        "주문한 상품이 아직 안 왔어요",
    ],
)
def test_what_only_looks_alike_does_not_fire(text: str) -> None:
    assert fired(text) == {}


def test_what_people_write_of_themselves_is_only_looked_for_in_what_is_sent() -> None:
    text = f"{MAIL}, +49 30 901820"
    assert set(fired(text)) == {"pii.email", "pii.phone"}
    assert [fired(text, part) for part in ("input", "reasoning", "evidence")] == [{}, {}, {}]


def test_every_place_is_named() -> None:
    record = {"input": "password, password", "output": [{"c": "PASSWORD"}], "evidence": ("x", {CARD: ["password"]})}
    [first, second] = RULES.fired("any", record)
    assert (first.rule, first.then) == ("keyword.password", Then.HITL)
    assert {(span.path, span.start, span.end) for span in first.spans} == {
        ("input", 0, 8),
        ("input", 10, 18),
        ("output.0.c", 0, 8),
        ("evidence.1.#0.0", 0, 8),
    }
    assert [(span.path, span.start, span.end) for span in second.spans] == [("evidence.1", 0, 19)]


def test_several_rules_fire_on_one_text_in_their_order() -> None:
    hits = fired("My lawyer has the password")
    assert list(hits.items()) == [("keyword.password", ["password"]), ("topic.legal_claims", ["lawyer"])]


def test_words_beside_each_other_are_each_found() -> None:
    assert fired("password password,password_password") == {"keyword.password": ["password"] * 4}


@pytest.mark.parametrize("before", ["Здравствуйте 😀 ", "ﷺ ", "e\u0301\u0301 ", "\ud800 ", "ﬃ½Ⅷ ", "\u200b" * 9])
def test_offsets_count_characters_of_the_text_itself(before: str) -> None:
    assert fired(f"{before}password") == {"keyword.password": ["password"]}
    assert fired(f"{before}{CARD} {before}") == {"pii.card_number": [CARD]}


@pytest.mark.parametrize("number", [4111111111111111, 4111111111111111.0])
def test_numbers_are_looked_at_as_texts(number: float) -> None:
    [hit] = RULES.fired("any", {"output": {"account": number}})
    assert (hit.rule, hit.spans[0].path) == ("pii.card_number", "output.account")


def test_a_number_of_any_size_can_be_looked_at() -> None:
    assert RULES.fired("any", {"output": [10**10000, -(10**10000), 1e308, True, None]}) == ()


@pytest.mark.parametrize("key", [CARD, SSN])
def test_a_reason_never_holds_the_text_itself_not_even_of_a_key(key: str) -> None:
    hits = RULES.fired("any", {"output": {key: {"note": "delete all"}}})
    assert hits
    assert key not in canonical_json([hit.model_dump(mode="json") for hit in hits])


PIECES = st.sampled_from(
    [CARD, SSN, IBAN, MAIL, "password", "delete all", "lawyer", "secret_key", "7", "x", " ", "-", "_", "é", "漢", "\n"]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
def test_a_rule_that_fires_on_a_text_fires_wherever_the_text_is(text: str) -> None:
    values: list[Any] = [[{"b": text}], {text: 1}, ["before", text, "after"], [text, text]]
    for value in values:
        assert {hit.rule for hit in RULES.fired("any", {"output": value})} == set(fired(text))


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
def test_what_a_rule_points_at_fires_by_itself(text: str) -> None:
    for name, pieces in fired(text).items():
        for piece in pieces:
            assert name in fired(piece)


@given(JSON)
def test_any_json_can_be_looked_at(value: object) -> None:
    RULES.fired("any", dict.fromkeys(map(str, Part), value))


@pytest.mark.parametrize("depth", [5000])
def test_a_value_may_be_as_deep_as_it_likes(depth: int) -> None:
    value: object = "password"
    for _ in range(depth):
        value = [value]
    [hit] = RULES.fired("any", {"output": value})
    assert hit.spans[0].path == "output" + ".0" * depth


ENDLESS = [
    "a",
    "1",
    "4 1 1 1 ",
    "4111 1111 1111 1112 ",
    "p ",
    "p-",
    "pass",
    "a@",
    "a.",
    "eyJ",
    "token=",
    "a://a:",
    "DE89 ",
    "+1 ",
    "(",
    "ssn ",
    "-----BEGIN ",
    "\u0301",
    "ﷺ",
    "𝓹",
    "क्",
    "\u200b",
]


@pytest.mark.exhaustive(keep=8)
@pytest.mark.parametrize("piece", ENDLESS)
def test_no_text_is_too_long(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert fired(text) == {}
    assert "keyword.password" in fired(f"{text}; password")


def test_so_many_places_are_told_and_no_more() -> None:
    [hit] = RULES.fired("any", {"output": ["password " * 60_000, "password " * 60_000]})
    assert len(hit.spans) == MOST_SPANS


def test_a_card_behind_many_numbers_that_are_none_is_found() -> None:
    assert fired("4111 1111 1111 1112 " * 1000 + CARD)["pii.card_number"] == [CARD]


class TestOnesOwn:
    """Rules of one's own."""

    def test_they_replace_the_default_ones(self) -> None:
        rules = TextRules(Policy(rules=(rule(keywords=["lion"]),)).rules)
        assert found(rules, "a lion with a password") == {"a.rule": ["lion"]}

    def test_none_never_fire(self) -> None:
        assert TextRules(()).fired("any", {"output": "password", "input": ""}) == ()

    def test_they_may_be_for_some_skills_parts_and_verdicts(self) -> None:
        rules = TextRules(
            (
                rule(name="one", keywords=["lion"], skills=["zoo.feed"], then="deny"),
                rule(name="two", keywords=["lion"], within=["input", "evidence"], then="retry"),
            )
        )
        record = dict.fromkeys(map(str, Part), "lion")
        assert [(hit.rule, hit.then, len(hit.spans)) for hit in rules.fired("zoo.feed", record)] == [
            ("one", Then.DENY, len(Part)),
            ("two", Then.RETRY, 2),
        ]
        assert [hit.rule for hit in rules.fired("zoo.clean", record)] == ["two"]
        assert rules.fired("zoo.clean", {"output": "lion"}) == ()

    def test_a_pattern_is_taken_as_it_is_written(self) -> None:
        rules = TextRules((rule(pattern="^KX-[0-9]{3}$"),))
        assert found(rules, "KX-200") == {"a.rule": ["KX-200"]}
        assert found(rules, "kx-200") == found(rules, "see KX-200") == {}
        assert rules.fired("any", {"output": ["before", "KX-200"]})[0].spans[0].path == "output.1"

    @pytest.mark.parametrize(
        ("pattern", "text", "piece"),
        [
            ("(?i)straße", "die STRAßE", "STRAßE"),
            (r"\p{Cyrillic}{3}", "да или не", "или"),
            ("漢字", "これは漢字です", "漢字"),
            ("KX-200", "ＫＸ–２００!", "ＫＸ–２００"),
            ("[0-9]{4}", "№ ١٢٣٤", "١٢٣٤"),
        ],
    )
    def test_a_pattern_looks_at_the_text_as_it_is_and_as_it_looks(self, pattern: str, text: str, piece: str) -> None:
        assert found(TextRules((rule(pattern=pattern),)), text) == {"a.rule": [piece]}

    @pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", r"(\w+\s?)+$", "x[^y]*y|x"])
    @pytest.mark.parametrize("text", ["a" * 100_000 + "!", "x" * 100_000])
    def test_a_pattern_that_would_explode_elsewhere_ends(self, pattern: str, text: str) -> None:
        hits = TextRules((rule(pattern=pattern),)).fired("any", {"output": text})
        assert sum(len(hit.spans) for hit in hits) <= MOST_SPANS

    def test_a_detector_and_a_topic_can_be_asked_for(self) -> None:
        rules = TextRules((rule(name="mail", detector="email"), rule(name="law", topic="legal_claims")))
        assert found(rules, f"{MAIL} is my lawyer", "input") == {"mail": [MAIL], "law": ["lawyer"]}

    def test_a_thousand_keywords_are_looked_for(self) -> None:
        words = [f"kwd{number:04}abcdefghij" for number in range(1000)]
        rules = TextRules((rule(keywords=words), rule(name="other", keywords=["lion"])))
        assert found(rules, f"a {words[0]} a {words[-1]} a lion") == {
            "a.rule": [words[0], words[-1]],
            "other": ["lion"],
        }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "exactly one of keywords, pattern, detector, topic; this one has none"),
        ({"keywords": ["a"], "topic": "politics"}, "this one has keywords and topic"),
        ({"keywords": []}, "at least 1 item"),
        ({"keywords": [""]}, "at least 1 character"),
        ({"keywords": ["fine", " -\u200b"]}, "has no letter or digit to be found by"),
        ({"keywords": ["a" * 101]}, "at most 100 characters"),
        ({"keywords": ["a" * 100] * 201}, "are 20100 characters together"),
        ({"pattern": "(a"}, "is no expression of RE2 (missing ): (a)"),
        ({"pattern": r"(a)\1"}, "is no expression of RE2 (invalid escape sequence: \\1)"),
        ({"pattern": "(?<=a)b"}, "RE2 has no look-around and no back-references"),
        ({"pattern": "(a{1000}){1000}"}, "is no expression of RE2"),
        ({"pattern": "a" * 1001}, "is 1001 characters long; a pattern has at most 1000"),
        ({"pattern": "a*"}, "matches where there is nothing"),
        ({"pattern": ""}, "matches where there is nothing"),
        ({"pattern": r"[^y]*y|\b"}, "matches where there is nothing"),
        ({"pattern": "(?m)^"}, "matches where there is nothing"),
        ({"pattern": "\ud800"}, "half a character"),
        ({"detector": "passport"}, "'card_number', 'ssn', 'iban', 'email', 'phone' or 'credential'"),
        ({"topic": "sports"}, "'politics', 'health_advice', 'financial_advice' or 'legal_claims'"),
        ({"keywords": ["a"], "within": []}, "at least 1 item"),
        ({"keywords": ["a"], "skills": []}, "at least 1 item"),
        ({"keywords": ["a"], "severity": 3}, "Extra inputs are not permitted"),
        ({"keywords": ["a"], "name": "A rule"}, "should match pattern"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_says_why(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rule(**fields)
    assert said in str(caught.value)


def test_rules_are_data() -> None:
    policy = Policy()
    assert policy.rules == DEFAULT_RULES
    assert Policy.model_validate_json(policy.body) == policy
    hit = Fired.model_validate_json(RULES.fired("any", {"output": CARD})[0].model_dump_json())
    assert hit.rule == "pii.card_number"
