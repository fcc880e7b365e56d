"""Reviewing: what waits for people, and what they decide."""

import pytest

from chimera.errors import CardAlreadyDecided, CardNotFound, Conflict, InvalidInput
from chimera.models.plan import PlanState
from chimera.models.policy import BUILT_IN
from chimera.models.review import CardStatus, ReviewCard
from chimera.models.task import TaskState
from tests.unit.services.house import TENANT, House


def unsure(text: str) -> str:
    return text


@pytest.fixture
def cards(house: House) -> list[ReviewCard]:
    """Two results that wait for a person."""
    skill = house.skill(unsure)
    house.planned(skill.task("a"), skill.task("b"))
    house.run_all()
    return house.cards()


def test_what_waits_is_listed_and_the_rest_when_asked_for(house: House, cards: list[ReviewCard]) -> None:
    reviews = house.reviews()
    done = reviews.approve(cards[0], "ann")
    assert reviews.cards(TENANT) == [cards[1]]
    assert reviews.cards(TENANT, status=CardStatus.APPROVED) == [done]
    assert reviews.cards(TENANT, status=None) == [done, cards[1]]
    assert reviews.cards(TENANT, status=None, limit=1) == [done]
    assert reviews.cards(TENANT, plan_id=cards[0].plan_id) == [cards[1]]
    assert reviews.cards(TENANT, plan_id=house.clock.new_id()) == []
    assert reviews.card(TENANT, cards[1].card_id) == cards[1]


def test_a_card_that_is_not_there_is_not_found(house: House, cards: list[ReviewCard]) -> None:
    with pytest.raises(CardNotFound):
        house.reviews().card(TENANT, house.clock.new_id())
    with pytest.raises(CardNotFound):
        house.reviews().card("globex", cards[0].card_id)


def test_approving_commits_and_shows_the_card_as_it_is_then(house: House, cards: list[ReviewCard]) -> None:
    card = house.reviews().approve(cards[0], "ann", note="right")
    assert (card.status, card.decided_by, card.note) == (CardStatus.APPROVED, "ann", "right")
    assert card.version == cards[0].version + 1
    assert house.states(card.plan_id) == [TaskState.APPROVED, TaskState.IN_REVIEW]
    [decision] = house.database.final.values()
    assert (decision.decided_by, decision.policy_version) == ("ann", BUILT_IN.version)


def test_denying_refuses_the_result_for_good(house: House, cards: list[ReviewCard]) -> None:
    for card in cards:
        denied = house.reviews().deny(card, "ann", "wrong tone")
        assert (denied.status, denied.note) == (CardStatus.DENIED, "wrong tone")
    assert house.states(cards[0].plan_id) == [TaskState.DENIED] * 2
    assert house.state(cards[0].plan_id) is PlanState.COMPLETED


@pytest.mark.parametrize("note", [None, "", "  \n"])
def test_a_denial_needs_a_reason(house: House, cards: list[ReviewCard], note: str | None) -> None:
    with pytest.raises(InvalidInput, match="a denial needs a reason"):
        house.reviews().deny(cards[0], "ann", note)
    assert house.reviews().card(TENANT, cards[0].card_id) == cards[0]


def test_of_two_people_the_first_decides(house: House, cards: list[ReviewCard]) -> None:
    house.reviews().approve(cards[0], "ann")
    with pytest.raises(CardAlreadyDecided, match="ann"):
        house.reviews().deny(cards[0], "bob", "no")


def test_a_card_that_changed_since_it_was_read_is_a_conflict(house: House, cards: list[ReviewCard]) -> None:
    with pytest.raises(Conflict):
        house.reviews().approve(cards[0].model_copy(update={"version": 7}), "ann")


def test_who_decided_and_why_is_on_record(house: House, cards: list[ReviewCard]) -> None:
    house.reviews().deny(cards[0], "ann", "wrong tone")
    entries = house.plans.entries(TENANT, cards[0].plan_id, 0, 100)
    [entry] = [entry for entry in entries if entry.kind == "review.decided"]
    assert entry.actor == "ann"
