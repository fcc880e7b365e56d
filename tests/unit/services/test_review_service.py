"""Reviewing: what waits for people, and what they decide."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from chimera.errors import (
    CardAlreadyDecided,
    CardClaimed,
    CardNotFound,
    Conflict,
    EditRefused,
    InvalidInput,
    NoCardWaits,
)
from chimera.models.gate.policy import BUILT_IN, SkillPolicy
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.gate.rules import Rule, Then
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.ports.card_store import ToEdit
from tests.fakes import FakeCardStore
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


# Claims.


def test_a_claim_keeps_a_card_for_a_quarter_of_an_hour(house: House, cards: list[ReviewCard]) -> None:
    reviews = house.reviews()
    claimed = reviews.claim(cards[0], "ann")
    assert (claimed.claimed_by, claimed.claim_expires_at) == ("ann", house.clock.now() + timedelta(minutes=15))
    with pytest.raises(CardClaimed, match="ann"):
        reviews.approve(cards[0], "bob")
    assert reviews.release(cards[0], "ann").claimed_by is None
    assert reviews.approve(cards[0], "bob").status is CardStatus.APPROVED


@pytest.mark.parametrize("seconds", [0, -1, 24 * 3600 + 1, float("nan"), float("inf")])
def test_a_claim_lasts_no_longer_than_a_day(house: House, cards: list[ReviewCard], seconds: float) -> None:
    with pytest.raises(InvalidInput, match="at most a day"):
        house.reviews().claim(cards[0], "ann", seconds)
    with pytest.raises(InvalidInput, match="at most a day"):
        house.reviews().claim_next(TENANT, "ann", seconds)


def test_the_next_card_is_claimed_until_there_is_none(house: House, cards: list[ReviewCard]) -> None:
    reviews = house.reviews()
    assert [reviews.claim_next(TENANT, who).card_id for who in ("ann", "bob")] == [card.card_id for card in cards]
    with pytest.raises(NoCardWaits, match="eve"):
        reviews.claim_next(TENANT, "eve")
    with pytest.raises(NoCardWaits):
        reviews.claim_next(TENANT, "eve", skill="unsure")


# Several people.


def test_a_policy_says_how_many_people_must_approve(house: House) -> None:
    house.apply(skills={"unsure": SkillPolicy(quorum=2)})
    plan_id = house.planned(house.skill(unsure).task("a"))
    house.run_all()
    [card] = house.cards()
    assert card.approvals_needed == 2
    first = house.reviews().approve(card, "ann")
    assert (first.status, first.approvals) == (CardStatus.PENDING, ("ann",))
    with pytest.raises(Conflict, match="ann"):
        house.reviews().approve(first, "ann")
    assert house.reviews().approve(first, "bob").status is CardStatus.APPROVED
    assert house.states(plan_id) == [TaskState.APPROVED]


# Edits.


def test_an_edit_is_committed_in_the_place_of_the_agent_s(house: House, cards: list[ReviewCard]) -> None:
    edited = house.reviews().edit(cards[0], "better", "ann", "was rude")
    assert (edited.status, edited.decided_by, edited.revision) == (CardStatus.EDITED, "ann", 1)
    assert [house.results(card.plan_id)[0].output for card in cards[:1]] == ["better"]
    [decision] = house.database.final.values()
    assert (decision.result_sha256, decision.decided_by) == (edited.result_sha256, "ann")
    assert json.loads(edited.outcome or "")["confidence"] is None
    assert house.reviews().revision(edited, 0).sha256 == cards[0].result_sha256
    assert house.reviews().revision(edited, 1).sha256 == edited.result_sha256
    with pytest.raises(InvalidInput, match="0 to 1"):
        house.reviews().revision(edited, 2)


def test_an_edit_with_something_new_in_it_waits_and_shows_it(house: House, cards: list[ReviewCard]) -> None:
    reviews = house.reviews()
    shown = reviews.edit(cards[0], "my password", "ann")
    assert (shown.status, shown.approvals, shown.revision) == (CardStatus.PENDING, (), 1)
    assert [reason.rule for reason in shown.reasons] == ["keyword.password"]
    assert house.states(shown.plan_id)[0] is TaskState.IN_REVIEW
    # It has been shown now: who keeps it knows of it.
    again = reviews.edit(shown, "your password", "ann")
    assert (again.status, again.revision) == (CardStatus.EDITED, 2)


def test_an_edit_without_what_was_found_is_clean(house: House) -> None:
    house.planned(house.skill(unsure).task("my password"))
    house.run_all()
    [card] = house.cards()
    assert {reason.rule for reason in card.reasons} == {"confidence.missing", "keyword.password"}
    # It is still in the input, where the person has seen it.
    assert house.reviews().edit(card, "nothing", "ann").status is CardStatus.EDITED


def test_an_edit_that_the_policy_denies_is_refused_with_the_reasons(house: House, cards: list[ReviewCard]) -> None:
    before = house.plans.entries(TENANT, None, 0, 100)
    with pytest.raises(EditRefused, match=r"output\.schema type"):
        house.reviews().edit(cards[0], 7, "ann")
    house.apply(skills={"unsure": SkillPolicy(output_schema={"type": "string", "maxLength": 3})})
    with pytest.raises(EditRefused, match=r"output\.policy_schema maxLength"):
        house.reviews().edit(cards[0], "too long", "ann")
    assert house.reviews().card(TENANT, cards[0].card_id) == cards[0]
    assert [entry.kind for entry in house.plans.entries(TENANT, None, 0, 100)[len(before) :]] == ["policy.applied"]
    assert house.reviews().edit(cards[0], "ok", "ann").status is CardStatus.EDITED


def test_an_edit_that_a_rule_would_send_back_is_refused_too(house: House, cards: list[ReviewCard]) -> None:
    house.apply(rules=(Rule(name="tone.rude", keywords=("rubbish",), then=Then.RETRY),))
    with pytest.raises(EditRefused, match=r"tone\.rude"):
        house.reviews().edit(cards[0], "rubbish", "ann")


def test_an_edit_needs_no_code_of_the_project_s(house: House, cards: list[ReviewCard]) -> None:
    del house.catalogue.skills["unsure"]
    assert house.reviews().edit(cards[0], "better", "ann").status == "edited"
    with pytest.raises(EditRefused, match=r"output\.schema"):
        house.reviews().edit(cards[1], {"not": "text"}, "ann")


@pytest.mark.parametrize(
    ("output", "message"),
    [("a", "is the one that the card shows"), (float("nan"), "no JSON|not JSON"), ("x" * 2_000_000, "bytes")],
    ids=["the same", "no JSON", "too large"],
)
def test_an_edit_changes_something_within_reason(
    house: House, cards: list[ReviewCard], output: object, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        house.reviews().edit(cards[0], output, "ann")


def test_an_edit_is_gated_again_where_another_policy_was_applied_meanwhile(
    house: House, cards: list[ReviewCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    gated: list[str] = []
    to_edit = FakeCardStore.to_edit

    def and_then_another_is_applied(store: FakeCardStore, tenant_id: str, card_id: UUID) -> ToEdit:
        found = to_edit(store, tenant_id, card_id)
        gated.append(found.policy.version)
        if len(gated) == 1:
            house.apply(name="newer")
        return found

    monkeypatch.setattr(FakeCardStore, "to_edit", and_then_another_is_applied)
    edited = house.reviews().edit(cards[0], "better", "ann")
    assert len(gated) == 2
    assert edited.policy_version == gated[1] != gated[0]


def test_who_saw_another_version_edits_nothing(house: House, cards: list[ReviewCard]) -> None:
    house.reviews().edit(cards[0], "my password", "bob")
    with pytest.raises(Conflict, match="changed"):
        house.reviews().edit(cards[0], "mine", "ann")
    with pytest.raises(Conflict, match="changed"):
        house.reviews().approve(cards[0], "ann")
