"""Rules on text: keywords, personal data and topics that a person must look at, whatever the confidence."""

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property

from pydantic import Field

from chimera.models.decision import Reason, Span
from chimera.models.record import Record

_NEVER = r"(?!)"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_-]{0,63}")
_DIGITS = re.compile(r"\d+")
_DIGIT_RUN = re.compile(r"(?<![^\W_])\d+(?:[ -]\d+)*(?![^\W_])")


class Part(StrEnum):
    """A part of the judged record."""

    INPUT = "input"
    OUTPUT = "output"
    REASONING = "reasoning"
    EVIDENCE = "evidence"


class Then(StrEnum):
    """What a rule that fires leads to."""

    HITL = "hitl"  # a person decides
    RETRY = "retry"  # denied, and tried again with the reason
    DENY = "deny"  # denied


class Detector(StrEnum):
    """What is found by more than a pattern."""

    CARD_NUMBER = "card_number"
    SSN = "ssn"
    IBAN = "iban"
    EMAIL = "email"
    PHONE = "phone"
    CREDENTIAL = "credential"


class Topic(StrEnum):
    """What people must look at."""

    POLITICS = "politics"
    HEALTH_ADVICE = "health_advice"
    FINANCIAL_ADVICE = "financial_advice"
    LEGAL_CLAIMS = "legal_claims"


class Rule(Record):
    """A rule on text: exactly one of keywords, pattern, detector and topic."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=100)
    keywords: tuple[str, ...] | None = None
    pattern: str | None = None
    detector: Detector | None = None
    topic: Topic | None = None
    within: tuple[Part, ...] = tuple(Part)
    skills: tuple[str, ...] | None = None  # None: all
    then: Then = Then.HITL


class TextRule(Record):
    """A named pattern. Patterns are matched without regard to case, at word boundaries."""

    name: str
    pattern: str


# The default policy of docs/architecture.md, "The gate". Narrow on purpose: each hit costs a person's time.
DEFAULT_RULES = (
    TextRule(name="keyword.password", pattern=r"pass(?:word|phrase|code)s?"),
    TextRule(name="keyword.secret_key", pattern=r"(?:secret|private|api)[ _-]keys?"),
    TextRule(name="keyword.delete_all", pattern=r"delete all"),
    TextRule(name="keyword.override_security", pattern=r"override security"),
    TextRule(name="pii.ssn", pattern=r"\d{3}-\d{2}-\d{4}"),
    TextRule(
        name="topic.politics",
        pattern=r"elections?|presidential|parliament|political part(?:y|ies)|politicians?",
    ),
    TextRule(
        name="topic.health_advice",
        pattern=r"diagnos(?:is|ed)|symptoms?|dosages?|prescriptions?|medications?|allerg(?:y|ies|ic)|pregnan(?:t|cy)",
    ),
    TextRule(
        name="topic.financial_advice",
        pattern=r"invest(?:ment|ing)? advice|should i invest|stock tips?|tax advice|mortgage advice",
    ),
    TextRule(
        name="topic.legal_claims",
        pattern=r"lawyers?|attorneys?|lawsuits?|legal action|sue you|small claims|in court|solicitors?",
    ),
)


class Fired(Record):
    rule: str
    then: Then
    spans: tuple[Span, ...]


class TextRules:
    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._old = OldRules()

    def fired(self, skill: str, record: dict[str, object]) -> tuple[Fired, ...]:
        return tuple(Fired(rule=r.rule, then=Then.HITL, spans=r.spans) for r in self._old.fired(record))


class OldRules(Record):
    """Rules applied together."""

    rules: tuple[TextRule, ...] = DEFAULT_RULES
    card_numbers: bool = True

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        alternatives = "|".join(f"(?P<r{number}>{rule.pattern})" for number, rule in enumerate(self.rules))
        return re.compile(rf"(?<![^\W_])(?:{alternatives or _NEVER})(?![^\W_])", re.IGNORECASE)

    def fired(self, record: dict[str, object]) -> tuple[Reason, ...]:
        """A reason for each rule that matches a text anywhere in the record, with the places."""
        spans: dict[str, list[Span]] = {}
        for path, text in texts(record):
            for match in self._pattern.finditer(text):
                rule = self.rules[int((match.lastgroup or "r0")[1:])].name
                spans.setdefault(rule, []).append(Span(path=path, start=match.start(), end=match.end()))
            if self.card_numbers:
                for start, end in card_numbers(text):
                    spans.setdefault("pii.card_number", []).append(Span(path=path, start=start, end=end))
        return tuple(Reason(rule=rule, spans=tuple(found)) for rule, found in spans.items())


def texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in JSON-compatible values, with its path: `output.reply`, `evidence.0`; keys count as texts too.

    A key that is no plain name stands in a path by its number (`output.#3`): a path is shown where texts are not.
    """
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, str(value)
    elif isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            yield path, str(key)
            name = key if isinstance(key, str) and _PLAIN_NAME.fullmatch(key) else f"#{number}"
            yield from texts(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from texts(item, f"{path}.{number}" if path else str(number))


def card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where payment card numbers stand: 13 to 19 digits that pass Luhn's check, in groups as people write them.

    Numbers beside it (an expiry date, an order number) are tried with it and without.
    """
    for run in _DIGIT_RUN.finditer(text):
        groups = [(run.start() + group.start(), run.start() + group.end()) for group in _DIGITS.finditer(run.group())]
        first = 0
        while first < len(groups):
            last = _card_ends(text, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1


def _card_ends(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last of the groups that are a card number together with the first."""
    digits = ""
    for last in range(first, len(groups)):
        digits += text[slice(*groups[last])]
        if len(digits) > 19:
            return None
        if len(digits) >= 13 and luhn(digits):
            return last
    return None


def luhn(number: str) -> bool:
    """Whether the digits pass the check of ISO/IEC 7812-1 annex B, as every payment card number does."""
    digits = [int(char) for char in number if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
