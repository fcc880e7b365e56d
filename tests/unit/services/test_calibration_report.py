"""What confidences are worth: which verdicts count, and for how many."""

from collections.abc import Callable

import pytest

from chimera.models.gate.policy import Bands, SkillPolicy
from chimera.models.gate.review import CardStatus
from chimera.models.work.skill import Success
from chimera.models.work.task import TaskSpec
from chimera.services.calibration_report import CalibrationReports, SkillReport
from tests.fakes import FakeVerdictStore
from tests.unit.services.house import TENANT, House


def sure(text: str, confidence: float) -> Success[str]:
    return Success(text, confidence=confidence)


Make = Callable[..., TaskSpec]


@pytest.fixture
def task(house: House) -> Make:
    skill = house.skill(sure)
    return lambda confidence, text="fine": skill.task(text, confidence)


def run(house: House, *specs: TaskSpec) -> None:
    house.planned(*specs)
    house.run_all()


def report(house: House, **options: object) -> list[SkillReport]:
    reports = CalibrationReports(FakeVerdictStore(house.database))
    return reports.report(TENANT, **options)  # type: ignore[arg-type]


def one(house: House, precision: float = 0.5) -> SkillReport:
    [found] = report(house, precision=precision)
    return found


def test_nothing_is_reported_of_nothing(house: House) -> None:
    assert report(house) == []


def test_rulings_and_cards_are_counted(house: House, task: Make) -> None:
    run(house, task(0.9), task(0.9), task(0.4), task(0.5), task(0.6))
    first, second, _ = house.cards()
    house.reviews().approve(first, "ann")
    house.reviews().deny(second, "ann", "no")
    found = one(house)
    assert (found.skill, found.approved, found.referred, found.denied) == ("sure", 2, 3, 0)
    assert found.cards == {CardStatus.APPROVED: 1, CardStatus.DENIED: 1, CardStatus.PENDING: 1}
    assert (found.by_sample, found.by_band, found.left_out) == (0, 2, 0)
    assert (found.overrides.held, found.overrides.held_approved) == (2, 1)


def test_cards_that_another_rule_opened_say_nothing_of_the_confidence(house: House, task: Make) -> None:
    run(house, task(0.9, "my password"), task(0.4, "my password"), task(0.4))
    for card in house.cards():
        house.reviews().deny(card, "ann", "no")
    found = one(house)
    assert (found.by_sample, found.by_band, found.left_out) == (0, 1, 2)
    assert (found.overrides.flagged, found.overrides.flagged_refused, found.overrides.held) == (1, 1, 2)
    assert found.people is not None
    assert found.people.calibration.verdicts == 1


def test_a_sampled_verdict_stands_for_all_that_were_not_drawn(house: House, task: Make) -> None:
    house.apply(defaults=SkillPolicy(sample=0.5))
    for draw in (0.9, 0.1):
        house.clock.drawn = draw
        run(house, task(0.9), task(0.9))
    run(house, task(0.4))
    drawn = [card for card in house.cards() if card.confidence == 0.9]
    [held] = [card for card in house.cards() if card.confidence == 0.4]
    assert len(drawn) == 2
    house.reviews().approve(drawn[0], "ann")
    house.reviews().edit(drawn[1], "better", "ann")
    house.reviews().deny(held, "ann", "no")
    found = one(house)
    assert (found.approved, found.by_sample, found.by_band) == (2, 2, 1)
    assert (found.overrides.sampled, found.overrides.sampled_refused) == (2, 1)
    assert found.people is not None
    assert found.people.blind is None
    assert found.people.calibration.right == pytest.approx(2 / 5), "two of four at 0.9, none of one below"


def test_no_threshold_is_named_where_nobody_looked_at_what_was_approved(house: House, task: Make) -> None:
    run(house, task(0.9), *[task(0.6)] * 19)
    for card in house.cards():
        house.reviews().approve(card, "ann")
    found = one(house)
    assert found.people is not None
    assert found.people.blind == "1 results were approved and no person looked at a sample of them"
    assert found.people.threshold.threshold is None


def test_where_nothing_was_approved_the_people_saw_everything(house: House, task: Make) -> None:
    house.apply(defaults=SkillPolicy(confidence=Bands(approve=1.0)))
    run(house, *[task(0.8)] * 20)
    for card in house.cards():
        house.reviews().approve(card, "ann")
    found = one(house)
    assert found.people is not None
    assert (found.people.blind, found.people.threshold.threshold) == (None, 0.8)


def test_labels_speak_for_every_result(house: House) -> None:
    skill = house.skill(dictionary)
    run(house, *[skill.task("fine", 0.9).options(label={"said": said}) for said in ("fine", "fine", "other")])
    found = one(house)
    assert found.people is None
    assert found.labels is not None
    assert found.labels.calibration.verdicts == 3
    assert found.labels.calibration.right == pytest.approx(2 / 3)
    assert found.labels.threshold.more is not None


def dictionary(text: str, confidence: float) -> Success[dict[str, str]]:
    return Success({"said": text}, confidence=confidence)


def test_results_without_a_usable_confidence_are_left_out(house: House) -> None:
    def silent(text: str, confidence: float | None) -> Success[str]:
        return Success(text, confidence=confidence)

    skill = house.skill(silent)
    run(house, *[skill.task("a", confidence).options(label={"a": 1}) for confidence in (None, 1.5, -0.1)])
    for card in house.cards():
        house.reviews().approve(card, "ann")
    found = one(house)
    assert (found.people, found.labels, found.left_out) == (None, None, 3)


def test_a_report_is_of_the_skill_and_time_asked_for(house: House, task: Make) -> None:
    run(house, task(0.9), house.skill(dictionary).task("a", 0.9))
    assert [found.skill for found in report(house)] == ["dictionary", "sure"]
    assert [found.skill for found in report(house, skill="sure")] == ["sure"]
    house.clock.advance(3600)
    assert report(house, since=house.clock.now()) == []
