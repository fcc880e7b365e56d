"""What the gate's confidences are worth: its rulings against what people said, and against labels."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from pydantic import Field

from chimera.models.gate.calibration import Calibration, Threshold, Verdict, calibrate, suggest
from chimera.models.gate.label import is_right
from chimera.models.gate.review import CardStatus
from chimera.models.record import Record
from chimera.models.work import decision
from chimera.models.work.result import SuccessOutcome
from chimera.ports.verdict_store import CardOutcome, Scope, VerdictStore

_PAGE = 1000
_NOTHING = UUID(int=0)
_DECIDED = {CardStatus.APPROVED: True, CardStatus.EDITED: False, CardStatus.DENIED: False}


class Curve(Record):
    """Confidences of one skill against one kind of verdict."""

    calibration: Calibration
    threshold: Threshold
    # Why no threshold can be named although there are verdicts; None where that is not so.
    blind: str | None = None


class Overrides(Record):
    """Where people saw it otherwise than the confidence did."""

    # What the confidence would have approved: cards of the sample, and cards that another rule opened.
    sampled: int = 0
    sampled_refused: int = 0
    flagged: int = 0
    flagged_refused: int = 0
    # What the confidence held back.
    held: int = 0
    held_approved: int = 0


class SkillReport(Record):
    """One skill's rulings and what became of them."""

    skill: str
    # Of the gate on results.
    approved: int = 0
    referred: int = 0
    denied: int = 0  # or sent back
    # Cards by what became of them.
    cards: dict[CardStatus, int] = Field(default_factory=dict)
    overrides: Overrides = Overrides()
    # Cards whose verdicts the people's curve is made of: those that the sample opened, and those that nothing but the
    # confidence did. A card that another rule opened says nothing of the results that no rule stops.
    by_sample: int = 0
    by_band: int = 0
    left_out: int = 0
    people: Curve | None = None
    labels: Curve | None = None


class CalibrationReports:
    """Reads what was ruled and decided, and says what confidences are worth."""

    def __init__(self, store: VerdictStore) -> None:
        self._store = store

    def report(
        self, tenant_id: str, *, skill: str | None = None, since: datetime | None = None, precision: float = 0.95
    ) -> list[SkillReport]:
        """A report for each skill with rulings in that time, by name.

        Args:
            tenant_id: whose.
            skill: only this one.
            since: aware; rulings and cards from then on.
            precision: the share of right results that a threshold is to be suggested for; above 0, below 1.
        """
        scope = Scope(tenant_id=tenant_id, skill=skill, since=since)
        counts: dict[str, Counter[decision.Verdict]] = {}
        for count in self._store.counts(scope):
            counts.setdefault(count.skill, Counter())[count.verdict] += count.results
        cards: dict[str, list[CardOutcome]] = {}
        for card in self._cards(scope):
            cards.setdefault(card.skill, []).append(card)
        labelled = self._labelled(scope)
        names = sorted({*counts, *cards, *labelled})
        return [
            _report(name, counts.get(name, Counter()), cards.get(name, []), labelled.get(name, []), precision)
            for name in names
        ]

    def _cards(self, scope: Scope) -> Iterator[CardOutcome]:
        after = _NOTHING
        while page := self._store.cards(scope, after, _PAGE):
            yield from page
            after = page[-1].card_id

    def _labelled(self, scope: Scope) -> dict[str, list[Verdict]]:
        found: dict[str, list[Verdict]] = {}
        after = (_NOTHING, 0)
        while page := self._store.labelled(scope, after, _PAGE):
            for result in page:
                outcome = result.outcome
                if isinstance(outcome, SuccessOutcome) and _is_confidence(outcome.confidence):
                    verdict = Verdict(outcome.confidence or 0.0, is_right(result.label, outcome.output))
                    found.setdefault(result.skill, []).append(verdict)
            after = (page[-1].task_id, page[-1].attempt)
        return found


def _report(
    skill: str,
    counts: Counter[decision.Verdict],
    cards: list[CardOutcome],
    labelled: list[Verdict],
    precision: float,
) -> SkillReport:
    sampled = [verdict for card in cards if (verdict := _verdict(card)) and _share(card) is not None]
    banded = [verdict for card in cards if (verdict := _verdict(card)) and _share(card) is None]
    approved = counts[decision.Verdict.APPROVE]
    blind = None
    if approved and not sampled:
        blind = f"{approved} results were approved and no person looked at a sample of them"
    decided = sum(card.status in _DECIDED for card in cards)
    return SkillReport(
        skill=skill,
        approved=approved,
        referred=counts[decision.Verdict.HITL],
        denied=counts[decision.Verdict.DENY],
        cards=dict(Counter(card.status for card in cards)),
        overrides=_overrides(cards),
        by_sample=len(sampled),
        by_band=len(banded),
        left_out=decided - len(sampled) - len(banded),
        people=_curve([*sampled, *banded], precision, blind),
        labels=_curve(labelled, precision, None),
    )


def _curve(verdicts: list[Verdict], precision: float, blind: str | None) -> Curve | None:
    calibration = calibrate(verdicts)
    if calibration is None:
        return None
    threshold = Threshold(wanted=precision) if blind else suggest(verdicts, precision)
    return Curve(calibration=calibration, threshold=threshold, blind=blind)


def _verdict(card: CardOutcome) -> Verdict | None:
    """What a decided card says of results that no rule stops; None where it says nothing of them."""
    if card.status not in _DECIDED or not _is_confidence(card.confidence):
        return None
    share = _share(card)
    if share is None and [reason.rule for reason in card.reasons] != ["confidence.below"]:
        return None
    return Verdict(card.confidence or 0.0, _DECIDED[card.status], 1.0 / share if share else 1.0)


def _share(card: CardOutcome) -> float | None:
    """The share of approvals that the card was drawn as a part of; None where it was opened otherwise."""
    [*rules] = card.reasons
    if len(rules) == 1 and rules[0].rule == "sample" and isinstance(rules[0].value, float) and rules[0].value > 0:
        return rules[0].value
    return None


def _overrides(cards: list[CardOutcome]) -> Overrides:
    counts: Counter[str] = Counter()
    for card in cards:
        right = _DECIDED.get(card.status)
        if right is None:
            continue
        if any(reason.rule.startswith("confidence.") for reason in card.reasons):
            counts.update(["held", *(["held_approved"] if right else [])])
        else:
            kind = "flagged" if _share(card) is None else "sampled"
            counts.update([kind, *([] if right else [f"{kind}_refused"])])
    return Overrides(**counts)


def _is_confidence(value: float | None) -> bool:
    return value is not None and 0 <= value <= 1
