"""Review cards: who has them, what people make of them, and how many it takes."""

import json
from datetime import timedelta

import pytest

from chimera.errors import CardAlreadyDecided, CardChanged, CardClaimed, CardNotFound, Conflict
from chimera.models.gate.policy import Policy
from chimera.models.gate.review import CardStatus, ReviewCard
from chimera.models.work.decision import Reason
from chimera.models.work.plan import PlanState
from chimera.models.work.task import TaskState
from chimera.ports.decision_store import PolicyChanged
from tests.contract.scene import Scene, now_of, success

RUDE = Reason(rule="keyword.rude")


def claim(scene: Scene, card: ReviewCard, who: str = "ann", seconds: float = 60) -> None:
    scene.world.cards.claim(scene.tenant_id, card.card_id, who, seconds)


def claim_next(scene: Scene, who: str = "ann", skill: str | None = None) -> object:
    return scene.world.cards.claim_next(scene.tenant_id, who, 60, skill)


def release(scene: Scene, card: ReviewCard, who: str = "ann") -> None:
    scene.world.cards.release(scene.tenant_id, card.card_id, who)


def facts(scene: Scene, kind: str) -> list[dict[str, object]]:
    return [entry.facts or {} for entry in scene.entries() if entry.kind == kind]


# Opening.


def test_that_a_card_was_opened_is_on_record(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=3)
    assert scene.kinds(planned.plan_id)[-3:] == ["task.decided", "review.opened", "plan.in_review"]
    [opened] = facts(scene, "review.opened")
    assert opened == {"card_id": card.card_id.hex, "approvals_needed": 3}
    assert (card.approvals_needed, card.approvals, card.revision) == (3, (), 0)


# Claims.


def test_a_claimed_card_is_one_person_s_until_the_time_is_over(scene: Scene) -> None:
    _, [card] = scene.in_review()
    claim(scene, card, "ann", seconds=60)
    held = scene.card(card)
    assert held.claimed_by == "ann"
    assert held.claim_expires_at is not None
    assert abs(held.claim_expires_at - now_of(scene.world) - timedelta(seconds=60)) < timedelta(seconds=30)
    assert held.version == card.version, "what is shown is what was shown"
    for refused in (
        lambda: scene.decide(card, approve=True, by="bob"),
        lambda: scene.decide(card, approve=False, by="bob", note="no"),
        lambda: scene.edit(card, "mine", by="bob"),
        lambda: claim(scene, card, "bob"),
        lambda: release(scene, card, "bob"),
    ):
        with pytest.raises(CardClaimed, match="ann"):
            refused()
    scene.pass_time(61)
    assert scene.card(card).claimed_by is None
    scene.decide(card, approve=True, by="bob")
    assert scene.card(card).status is CardStatus.APPROVED


def test_who_claimed_a_card_decides_it(scene: Scene) -> None:
    _, [card] = scene.in_review()
    claim(scene, card)
    scene.decide(card, approve=True, by="ann")
    decided = scene.card(card)
    assert (decided.status, decided.claimed_by) == (CardStatus.APPROVED, None)


def test_a_claim_is_renewed_by_claiming_again(scene: Scene) -> None:
    _, [card] = scene.in_review()
    claim(scene, card, seconds=60)
    scene.pass_time(50)
    claim(scene, card, seconds=60)
    scene.pass_time(50)
    assert scene.card(card).claimed_by == "ann"


def test_a_card_that_is_given_back_is_everybody_s(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    claim(scene, card)
    release(scene, card)
    assert scene.card(card).claimed_by is None
    entries = scene.entries()
    release(scene, card)
    assert scene.entries() == entries, "nothing was to be given back"
    claim(scene, card, "bob")
    assert scene.kinds(planned.plan_id)[-3:] == ["review.claimed", "review.released", "review.claimed"]
    assert [entry.actor for entry in scene.entries()[-3:]] == ["ann", "ann", "bob"]


def test_a_decided_card_is_nobody_s(scene: Scene) -> None:
    _, [card] = scene.in_review()
    scene.decide(card, approve=True, by="bob")
    for refused in (claim, release):
        with pytest.raises(CardAlreadyDecided, match="bob"):
            refused(scene, card)


@pytest.mark.parametrize("ask", [claim, release])
def test_a_card_of_another_tenant_is_not_found(scene: Scene, stranger: Scene, ask: object) -> None:
    _, [card] = scene.in_review()
    assert callable(ask)
    with pytest.raises(CardNotFound):
        ask(stranger, card)
    with pytest.raises(CardNotFound):
        stranger.world.cards.to_edit(stranger.tenant_id, card.card_id)
    with pytest.raises(CardNotFound):
        stranger.edit(card, "theirs")


# The next card.


def test_the_next_card_is_the_oldest_that_nobody_has(scene: Scene) -> None:
    _, [first, second, third] = scene.in_review(3)
    assert claim_next(scene, "ann") == first.card_id
    assert claim_next(scene, "bob") == second.card_id
    scene.decide(third, approve=True, by="eve")
    assert claim_next(scene, "eve") is None
    release(scene, second, "bob")
    assert claim_next(scene, "eve") == second.card_id
    scene.pass_time(61)
    assert claim_next(scene, "bob") == first.card_id
    assert scene.card(first).claimed_by == "bob"


def test_the_next_card_is_of_the_skill_that_was_asked_for(scene: Scene) -> None:
    _, [card] = scene.in_review()
    assert claim_next(scene, skill="another") is None
    assert claim_next(scene, skill=card.skill) == card.card_id


def test_nobody_is_given_a_card_twice_that_needs_others(scene: Scene) -> None:
    _, [card] = scene.in_review(approvals_needed=2)
    scene.decide(card, approve=True, by="ann")
    assert claim_next(scene, "ann") is None
    assert claim_next(scene, "bob") == card.card_id
    scene.edit(card, "better", by="bob")
    assert claim_next(scene, "bob") is None
    assert claim_next(scene, "ann") == card.card_id, "ann has not approved this version"


def test_cards_of_a_plan_that_stops_are_not_handed_out(scene: Scene, stranger: Scene) -> None:
    planned, _ = scene.in_review()
    assert claim_next(stranger) is None
    scene.stop(planned.plan_id)
    assert claim_next(scene) is None


# Several people.


def test_a_card_commits_with_the_last_of_the_approvals_that_it_needs(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=3)
    for people in (["ann"], ["ann", "bob"]):
        scene.decide(card, approve=True, by=people[-1], note="fine")
        seen = scene.card(card)
        assert (seen.status, list(seen.approvals), seen.version) == (CardStatus.PENDING, people, card.version)
        assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]
        assert scene.world.committed(scene.tenant_id) == set()
    scene.decide(card, approve=True, by="eve")
    assert scene.world.committed(scene.tenant_id) == set(planned.ids)
    decided = scene.card(card)
    assert (decided.status, decided.decided_by, len(decided.approvals)) == (CardStatus.APPROVED, "eve", 3)
    assert scene.state(planned.plan_id) is PlanState.COMPLETED
    kinds = scene.kinds(planned.plan_id)
    assert kinds[-5:] == ["review.approved"] * 2 + ["review.decided", "task.decided", "plan.completed"]


def test_one_person_is_one_approval(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=2)
    scene.decide(card, approve=True, by="ann")
    entries = scene.entries()
    with pytest.raises(Conflict, match="ann"):
        scene.decide(card, approve=True, by="ann")
    assert scene.entries() == entries
    assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]


@pytest.mark.parametrize("again", ["Ann", "ANN", "\u0430nn"])
def test_one_person_in_another_spelling_is_one_approval(scene: Scene, again: str) -> None:
    planned, [card] = scene.in_review(approvals_needed=2)
    scene.decide(card, approve=True, by="ann")
    with pytest.raises(Conflict, match="already"):
        scene.decide(card, approve=True, by=again)
    assert scene.world.committed(scene.tenant_id) == set()
    assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]


@pytest.mark.parametrize("approve", [True, False])
def test_a_decision_is_on_the_bytes_that_were_seen(scene: Scene, approve: bool) -> None:
    planned, [card] = scene.in_review()
    entries = scene.entries()
    other = card.model_copy(update={"result_sha256": bytes(32)})
    for refused in (lambda: scene.decide(other, approve=approve, note="no"), lambda: scene.edit(other, "better")):
        with pytest.raises(CardChanged):
            refused()
    assert (scene.entries(), scene.card(card)) == (entries, card)
    assert scene.states(planned.plan_id) == [TaskState.IN_REVIEW]


def test_any_denial_decides(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=3)
    scene.decide(card, approve=True, by="ann")
    scene.decide(card, approve=False, by="bob", note="no")
    assert scene.card(card).status is CardStatus.DENIED
    assert scene.states(planned.plan_id) == [TaskState.DENIED]
    assert scene.world.committed(scene.tenant_id) == set()


def test_who_approved_may_still_deny(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=2)
    scene.decide(card, approve=True, by="ann")
    scene.decide(card, approve=False, by="ann", note="on second thoughts")
    assert scene.states(planned.plan_id) == [TaskState.DENIED]


def test_an_approval_ends_the_claim(scene: Scene) -> None:
    _, [card] = scene.in_review(approvals_needed=2)
    claim(scene, card, "ann")
    scene.decide(card, approve=True, by="ann")
    assert scene.card(card).claimed_by is None
    scene.decide(card, approve=True, by="bob")
    assert scene.card(card).status is CardStatus.APPROVED


def test_an_approval_among_several_is_refused_where_the_plan_was_stopped(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=2)
    scene.stop(planned.plan_id)
    entries = scene.entries()
    for refused in (lambda: scene.decide(card, approve=True), lambda: scene.edit(card, "better")):
        with pytest.raises(Conflict):
            refused()
    assert (scene.entries(), scene.card(card).approvals) == (entries, ())


def test_only_the_last_approval_is_refused_over_changed_shared_state(scene: Scene) -> None:
    planned, [first, second] = scene.in_review(2, state_key="k", approvals_needed=2)
    for by in ("ann", "bob"):
        scene.decide(first, approve=True, by=by)
    scene.decide(second, approve=True, by="ann")
    with pytest.raises(Conflict):
        scene.decide(second, approve=True, by="bob")
    assert scene.card(second).approvals == ("ann",)
    assert scene.states(planned.plan_id) == [TaskState.APPROVED, TaskState.IN_REVIEW]


# Edits.


def test_an_edit_commits_the_person_s_version_and_keeps_the_agent_s(scene: Scene) -> None:
    planned, [card] = scene.in_review(state_key="k")
    edit = scene.edit(card, "better", by="bob", note="politer")
    decided = scene.card(card)
    assert (decided.status, decided.decided_by, decided.note) == (CardStatus.EDITED, "bob", "politer")
    assert (decided.revision, decided.edited_by, decided.approvals) == (1, "bob", ("bob",))
    assert (decided.outcome, decided.result_sha256) == (edit.outcome, edit.sha256)
    assert scene.world.committed(scene.tenant_id) == set(planned.ids)
    assert scene.results(planned.plan_id)[0].output == "better"
    assert scene.world.shared_state(scene.tenant_id, "k") == ("better", 1)
    agents, persons = scene.world.reviews.revisions(scene.tenant_id, card.card_id)
    assert (agents.number, agents.outcome, agents.sha256) == (0, card.outcome, card.result_sha256)
    assert (agents.reasons, agents.edited_by) == (card.reasons, None)
    assert (persons.number, persons.outcome, persons.sha256) == (1, edit.outcome, edit.sha256)
    assert (persons.edited_by, persons.note) == ("bob", "politer")
    assert persons.edited_at is not None
    kinds = scene.kinds(planned.plan_id)
    assert kinds[-4:] == ["review.edited", "review.decided", "task.decided", "plan.completed"]
    assert facts(scene, "task.decided")[-1]["result_sha256"] == edit.sha256.hex()


def test_an_edit_in_which_the_policy_found_something_waits_for_a_person(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.edit(card, "rude", approve=False, by="bob", reasons=(RUDE,))
    shown = scene.card(card)
    assert (shown.status, shown.version, shown.revision) == (CardStatus.PENDING, card.version + 1, 1)
    assert (shown.reasons, shown.approvals) == ((RUDE,), ())
    assert json.loads(shown.outcome or "")["output"] == "rude"
    assert scene.world.committed(scene.tenant_id) == set()
    assert scene.results(planned.plan_id)[0].output == "fine"
    with pytest.raises(Conflict, match="changed"):
        scene.decide(card, approve=True, by="ann")
    scene.decide(shown, approve=True, by="ann")
    assert scene.card(card).status is CardStatus.EDITED
    assert scene.results(planned.plan_id)[0].output == "rude"


def test_an_edit_may_be_denied_and_edited_again(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    scene.edit(card, "rude", approve=False, reasons=(RUDE,))
    scene.edit(scene.card(card), "ruder", approve=False, reasons=(RUDE,))
    shown = scene.card(card)
    assert (shown.revision, shown.version) == (2, card.version + 2)
    scene.decide(shown, approve=False, by="bob", note="neither")
    assert scene.card(card).status is CardStatus.DENIED
    assert len(scene.world.reviews.revisions(scene.tenant_id, card.card_id)) == 3
    assert scene.states(planned.plan_id) == [TaskState.DENIED]
    assert scene.results(planned.plan_id)[0].output == "fine"


def test_an_edit_needs_the_others_approvals_too_and_theirs_of_the_old_do_not_count(scene: Scene) -> None:
    planned, [card] = scene.in_review(approvals_needed=2)
    scene.decide(card, approve=True, by="ann")
    scene.edit(card, "better", by="bob")
    shown = scene.card(card)
    assert (shown.status, shown.approvals, shown.revision) == (CardStatus.PENDING, ("bob",), 1)
    assert scene.world.committed(scene.tenant_id) == set()
    scene.decide(shown, approve=True, by="ann")
    assert scene.world.committed(scene.tenant_id) == set(planned.ids)
    assert scene.results(planned.plan_id)[0].output == "better"


def test_an_edit_names_the_policy_in_force(scene: Scene) -> None:
    _, [card] = scene.in_review()
    scene.world.policy_changes.apply(scene.tenant_id, Policy(name="newer"), "ann")
    entries = scene.entries()
    for approve in (True, False):
        with pytest.raises(PolicyChanged):
            scene.edit(card, "better", approve=approve)
    assert (scene.entries(), scene.card(card)) == (entries, card)
    version = scene.world.cards.to_edit(scene.tenant_id, card.card_id).policy.version
    scene.edit(card, "better", policy_version=version)
    assert scene.card(card).status is CardStatus.EDITED


def test_what_is_edited_is_what_the_agent_staged(scene: Scene) -> None:
    planned, [card] = scene.in_review()
    found = scene.world.cards.to_edit(scene.tenant_id, card.card_id)
    assert (found.staged.task_id, found.staged.outcome) == (planned.ids[0], success())
    assert found.staged.sha256 == card.result_sha256
    scene.edit(card, "rude", approve=False, reasons=(RUDE,))
    assert scene.world.cards.to_edit(scene.tenant_id, card.card_id) == found


def test_an_edit_over_changed_shared_state_is_refused_whole(scene: Scene) -> None:
    _, [first, second] = scene.in_review(2, state_key="k")
    scene.decide(first, approve=True)
    entries = scene.entries()
    with pytest.raises(Conflict):
        scene.edit(second, "better")
    assert (scene.entries(), scene.card(second)) == (entries, second)
