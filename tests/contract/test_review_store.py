"""Review cards to read."""

import json

import pytest

from chimera.errors import CardNotFound
from chimera.models.gate.review import CardFilter, CardStatus
from chimera.models.record import canonical_json, sha256
from tests.contract.scene import POLICY, Scene, success


def test_a_card_shows_the_result_and_why_it_is_asked_about(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    assert (card.tenant_id, card.plan_id, card.task_id) == (scene.tenant_id, planned.plan_id, planned.ids[0])
    assert (card.attempt, card.skill, card.confidence, card.policy_version) == (1, "echo", 0.5, POLICY)
    assert card.input is not None
    assert card.outcome is not None
    assert json.loads(card.input) == {"text": "hello"}
    assert card.outcome == canonical_json(success().model_dump(mode="json"))
    assert card.result_sha256 == sha256(card.outcome)
    assert [reason.rule for reason in card.reasons] == ["confidence.missing"]
    assert (card.status, card.version, card.decided_by, card.decided_at) == (CardStatus.PENDING, 1, None, None)


def test_one_card_is_found_by_its_id(scene: Scene) -> None:
    _, cards = scene.in_review(2)
    assert scene.world.reviews.card(scene.tenant_id, cards[1].card_id) == cards[1]


def test_a_card_that_is_nowhere_or_another_tenant_s_is_not_found(scene: Scene, stranger: Scene) -> None:
    _, [card] = scene.in_review()
    for tenant_id, card_id in (
        (scene.tenant_id, scene.world.clock.new_id()),
        (stranger.tenant_id, card.card_id),
    ):
        with pytest.raises(CardNotFound):
            scene.world.reviews.card(tenant_id, card_id)


def test_a_card_that_was_erased_while_it_waited_says_why(scene: Scene) -> None:
    _, [waits, denied, other] = scene.in_review(3)
    scene.decide(denied, approve=False, note="no")
    for card in (waits, denied):
        scene.erase(card.task_id, "asked for by the person")
    shown = scene.card(waits)
    assert (shown.status, shown.decided_by, shown.note) == (CardStatus.DENIED, "root", None)
    assert shown.erasure_reason == "asked for by the person"
    assert scene.card(denied).erased_at is not None
    assert [card.erasure_reason for card in (scene.card(denied), scene.card(other))] == [None, None]
    assert scene.cards(status=CardStatus.DENIED) == [shown, scene.card(denied)]


def test_cards_come_oldest_first_up_to_the_limit(scene: Scene) -> None:
    _, cards = scene.in_review(3)
    assert cards == sorted(cards, key=lambda card: card.card_id)
    listed = scene.world.reviews.cards(scene.tenant_id, plan_id=None, status=None, limit=2)
    assert listed == cards[:2]


def test_cards_are_listed_by_plan_and_by_status(scene: Scene, stranger: Scene) -> None:
    first, [decided, pending] = scene.in_review(2)
    second, [other] = scene.in_review()
    stranger.in_review()
    scene.decide(decided, approve=False, note="no")
    everywhere = {card.card_id for card in scene.cards()}
    assert everywhere == {decided.card_id, pending.card_id, other.card_id}
    assert [card.card_id for card in scene.cards(first.plan_id, CardStatus.PENDING)] == [pending.card_id]
    assert [card.card_id for card in scene.cards(first.plan_id, CardStatus.DENIED)] == [decided.card_id]
    assert [card.card_id for card in scene.cards(second.plan_id)] == [other.card_id]
    assert scene.cards(status=CardStatus.APPROVED) == []


def test_cards_are_selected_by_who_when_and_why(scene: Scene, stranger: Scene) -> None:
    _, [first, second, third] = scene.in_review(3)
    stranger.in_review()
    scene.pass_time(1)
    scene.decide(first, approve=True, by="bob")
    scene.pass_time(1)
    scene.decide(second, approve=False, by="cyd", note="no")
    scene.world.cards.claim(scene.tenant_id, third.card_id, "dan", 60.0)
    decided, denied, claimed = scene.cards()
    assert decided.decided_at is not None
    assert denied.decided_at is not None
    filters = {
        CardFilter(): [decided, denied, claimed],
        CardFilter(actor="bob"): [decided],
        CardFilter(actor="dan"): [claimed],
        CardFilter(actor="eve"): [],
        CardFilter(since=denied.decided_at): [denied],
        CardFilter(until=decided.decided_at): [claimed],
        CardFilter(since=decided.decided_at, until=denied.decided_at): [decided],
        CardFilter(task_id=second.task_id): [denied],
        CardFilter(rule="confidence"): [decided, denied, claimed],
        CardFilter(rule="confidence.missing", actor="cyd"): [denied],
        CardFilter(rule="confidence.m"): [],
    }
    for wanted, cards in filters.items():
        found = scene.world.reviews.cards(scene.tenant_id, plan_id=None, status=None, limit=9, wanted=wanted)
        assert found == cards
