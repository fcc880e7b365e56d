"""Rules on text: keywords, patterns, personal data and topics, whatever the confidence."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from chimera.models.gate.looking import MOST_SPANS, Glance, Looking
from chimera.models.record import Record
from chimera.models.text.allowance import Allowance, UsedUp
from chimera.models.text.detectors import Detected, Detector, known_regions
from chimera.models.text.engine import pattern
from chimera.models.text.finders import Finder, Keywords, Pattern
from chimera.models.text.keywords import has_letters
from chimera.models.text.topics import TOPICS, Topic
from chimera.models.work.decision import Span

# All keywords of a rule together: each takes memory, and time to be made ready.
MOST_CHARACTERS = 20_000


__all__ = ["DEFAULT_RULES", "MOST_SPANS", "Fired", "Part", "Rule", "TextRules", "Then"]


class Part(StrEnum):
    """A part of the judged record."""

    INPUT = "input"
    OUTPUT = "output"
    REASONING = "reasoning"
    EVIDENCE = "evidence"
    TOOLS = "tools"
    EFFECTS = "effects"


# What a rule looked at everywhere looks at, in policies of releases that did not know of the other parts.
_EVERYWHERE = frozenset({Part.INPUT, Part.OUTPUT, Part.REASONING, Part.EVIDENCE})


class Then(StrEnum):
    """What a rule that fires leads to."""

    HITL = "hitl"  # a person decides
    RETRY = "retry"  # denied, and tried again with the reason
    DENY = "deny"  # denied

    @property
    def strength(self) -> int:
        """The higher, the less passes: of several findings the strongest rules."""
        return (Then.HITL, Then.RETRY, Then.DENY).index(self)


Keyword = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Rule(Record):
    """A rule on text: exactly one of keywords, pattern, detector and topic."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=100)
    # Whole words and phrases, found however they are written.
    keywords: tuple[Keyword, ...] | None = Field(default=None, min_length=1, max_length=1000)
    # An expression of RE2, for any place in a text; `(?i)` in front ignores case.
    pattern: str | None = None
    detector: Detector | None = None
    # For the detector `phone`: countries (ISO 3166) whose numbers are also found as they are written at home.
    regions: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=20)
    topic: Topic | None = None
    within: tuple[Part, ...] = Field(default=tuple(Part), min_length=1)
    skills: tuple[str, ...] | None = Field(default=None, min_length=1)  # None: all
    then: Then = Then.HITL

    @field_validator("keywords")
    @classmethod
    def _can_be_found(cls, keywords: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for keyword in keywords or ():
            if not has_letters(keyword):
                raise ValueError(f"{keyword!r} has no letter or digit to be found by; a `pattern` can look for signs")
        if (characters := sum(map(len, keywords or ()))) > MOST_CHARACTERS:
            raise ValueError(
                f"are {characters} characters together; the keywords of a rule have at most {MOST_CHARACTERS}"
            )
        return keywords

    @field_validator("pattern")
    @classmethod
    def _can_be_used(cls, expression: str | None) -> str | None:
        if expression is not None:
            pattern(expression)
        return expression

    @field_validator("regions")
    @classmethod
    def _are_regions(cls, regions: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := sorted(set(regions or ()) - (known_regions() if regions else set())):
            raise ValueError(f"{', '.join(unknown)}: no country with telephone numbers; they are like DE, GB, US")
        return regions

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> "Rule":
        about = ("keywords", "pattern", "detector", "topic")
        given = [field for field in about if getattr(self, field) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a rule has exactly one of {', '.join(about)}; this one has {' and '.join(given) or 'none'}"
            )
        if self.regions is not None and self.detector is not Detector.PHONE:
            raise ValueError("regions are for the detector phone")
        return self

    def looks_at(self, part: Part) -> bool:
        """Whether it looks at a part; one that looks at input, output, reasoning and evidence looks at all."""
        return part in self.within or _EVERYWHERE.issubset(self.within)

    @cached_property
    def finder(self) -> Finder:
        """What looks for it."""
        if self.pattern is not None:
            return Pattern(self.pattern)
        if self.detector is not None:
            return Detected(self.detector, self.regions or ())
        return Keywords(self.keywords or TOPICS[self.topic or Topic.POLITICS])


def _words(name: str, *keywords: str) -> Rule:
    return Rule(name=f"keyword.{name}", keywords=keywords)


# What applies where a policy does not say otherwise. Narrow on purpose: each hit costs a person's time.
DEFAULT_RULES: tuple[Rule, ...] = (
    _words("password", "password", "passwords", "passphrase", "passphrases", "passcode", "passcodes"),
    _words("secret_key", "secret key", "secret keys", "private key", "private keys", "API key", "API keys"),
    _words("delete_all", "delete all"),
    _words("override_security", "override security"),
    Rule(name="secret.credential", detector=Detector.CREDENTIAL),
    Rule(name="pii.card_number", detector=Detector.CARD_NUMBER),
    Rule(name="pii.ssn", detector=Detector.SSN),
    Rule(name="pii.iban", detector=Detector.IBAN),
    # People write theirs into what they send; only what is sent to others must not hold them.
    Rule(name="pii.email", detector=Detector.EMAIL, within=(Part.OUTPUT,)),
    Rule(name="pii.phone", detector=Detector.PHONE, within=(Part.OUTPUT,)),
    *(Rule(name=f"topic.{topic}", topic=topic) for topic in Topic),
)


class Fired(Record):
    """A rule that fired, and where."""

    rule: str
    then: Then
    spans: tuple[Span, ...] = Field(min_length=1)


class TextRules:
    """Rules, ready to be asked; in the order that they are given in."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._named = frozenset(skill for rule in rules for skill in rule.skills or ())
        self._by_skill: dict[str | None, tuple[Glance, tuple[Looking, ...]]] = {}

    def fired(self, skill: str, record: Mapping[str, object], allowance: Allowance | None = None) -> tuple[Fired, ...]:
        """The rules that fire on a record of a skill: by the name of a part, any JSON-compatible value.

        Where the allowance did not do for all of the text, it says so, and these are the rules that fire on the rest.
        """
        allowance = allowance or Allowance()
        spans: dict[str, list[Span]] = {}
        try:
            glance, lookings = self._of(skill)
            if glance.may_find(record, allowance):
                for looking in lookings:
                    looking.into(spans, record, allowance)
        except UsedUp:
            pass
        if not spans:
            return ()
        return tuple(
            Fired(rule=rule.name, then=rule.then, spans=tuple(spans[rule.name]))
            for rule in self._rules
            if rule.name in spans
        )

    def _of(self, skill: str) -> tuple[Glance, tuple[Looking, ...]]:
        known = skill if skill in self._named else None
        if known not in self._by_skill:
            lookings = tuple(_looked(self._rules, known))
            self._by_skill[known] = Glance(lookings), lookings
        return self._by_skill[known]


def _looked(rules: tuple[Rule, ...], skill: str | None) -> Iterator[Looking]:
    """Parts that the same rules look at are looked at together."""
    by_rules: dict[tuple[Rule, ...], list[Part]] = {}
    for part in Part:
        of_part = tuple(
            rule for rule in rules if rule.looks_at(part) and (rule.skills is None or (skill or "") in rule.skills)
        )
        by_rules.setdefault(of_part, []).append(part)
    return (
        Looking([*map(str, parts)], [(rule.name, rule.finder) for rule in of_parts])
        for of_parts, parts in by_rules.items()
        if of_parts
    )
