"""Reviewing: what waits for people, and what they decide."""

import json
from typing import Any
from uuid import UUID

from chimera.errors import EditRefused, InvalidInput, NoCardWaits
from chimera.failpoints import Failpoint, failpoint
from chimera.models.gate.edit import edited, gate_edit, news, outcome_text
from chimera.models.gate.gate import Staged
from chimera.models.gate.policy import Policy
from chimera.models.gate.review import EVERY_CARD, CardFilter, CardStatus, ReviewCard, Revision
from chimera.models.text.person import require_person
from chimera.models.work.decision import Ruling, Verdict
from chimera.ports.card_store import CardDecision, CardEdit, CardStore
from chimera.ports.decision_store import PolicyChanged
from chimera.ports.review_store import ReviewStore
from chimera.services.decision_log import log_decisions
from chimera.services.output_schemas import OutputSchemas

CLAIM_SECONDS = 15 * 60.0
LONGEST_CLAIM_SECONDS = 24 * 3600.0


class ReviewService:
    """Shows cards, and writes people's decisions the way the Judge writes its own."""

    def __init__(
        self, reviews: ReviewStore, cards: CardStore, schemas: OutputSchemas, *, max_output_bytes: int = 1_000_000
    ) -> None:
        self._reviews = reviews
        self._cards = cards
        self._schemas = schemas
        self._max_output_bytes = max_output_bytes

    def cards(
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None = None,
        status: CardStatus | None = CardStatus.PENDING,
        limit: int = 100,
        wanted: CardFilter = EVERY_CARD,
    ) -> list[ReviewCard]:
        """The tenant's cards, oldest first; `status=None` for those of every status."""
        return self._reviews.cards(tenant_id, plan_id=plan_id, status=status, limit=limit, wanted=wanted)

    def card(self, tenant_id: str, card_id: UUID) -> ReviewCard:
        """One card.

        Raises:
            CardNotFound: the tenant has no such card.
        """
        return self._reviews.card(tenant_id, card_id)

    def revision(self, card: ReviewCard, number: int) -> Revision:
        """A version of a card's result: 0 is what the agent staged.

        Raises:
            InvalidInput: the card has no such version; the message says which it has.
        """
        revisions = {revision.number: revision for revision in self._reviews.revisions(card.tenant_id, card.card_id)}
        try:
            return revisions[number]
        except KeyError:
            raise InvalidInput(f"the card has no revision {number}: it has 0 to {max(revisions)}") from None

    def what_was_seen(self, card: ReviewCard, sha_prefix: str) -> Revision | None:
        """The version of a card's result whose hash begins so; None where it has none."""
        revisions = self._reviews.revisions(card.tenant_id, card.card_id)
        return next((found for found in reversed(revisions) if found.sha256.hex().startswith(sha_prefix)), None)

    # Whose a card is for now.

    def claim(self, card: ReviewCard, who: str, seconds: float = CLAIM_SECONDS) -> ReviewCard:
        """Keeps a card for a person: until then nobody else decides on it. Claimed again, the time starts anew.

        Raises:
            InvalidInput: the time is not above 0, or longer than a day, or `who` cannot be a person's name.
            CardAlreadyDecided: it waits for nobody any more.
            CardClaimed: somebody else has it; the message names who, and until when.
        """
        self._cards.claim(card.tenant_id, card.card_id, require_person(who), _claimable(seconds))
        return self._reviews.card(card.tenant_id, card.card_id)

    def claim_next(
        self, tenant_id: str, who: str, seconds: float = CLAIM_SECONDS, *, skill: str | None = None
    ) -> ReviewCard:
        """Claims the oldest card that nobody has claimed and that this person has not approved yet.

        Raises:
            InvalidInput: the time is not above 0, or longer than a day, or `who` cannot be a person's name.
            NoCardWaits: there is none.
        """
        card_id = self._cards.claim_next(tenant_id, require_person(who), _claimable(seconds), skill)
        if card_id is None:
            raise NoCardWaits(f"no review card of {tenant_id} waits for {who} that nobody has claimed")
        return self._reviews.card(tenant_id, card_id)

    def release(self, card: ReviewCard, who: str) -> ReviewCard:
        """Gives a claim back; nothing where there is none.

        Raises:
            InvalidInput: `who` cannot be a person's name.
            CardAlreadyDecided, CardClaimed: as `claim`.
        """
        self._cards.release(card.tenant_id, card.card_id, require_person(who))
        return self._reviews.card(card.tenant_id, card.card_id)

    # What is done about it.

    def approve(self, card: ReviewCard, decided_by: str, note: str | None = None) -> ReviewCard:
        """Approves what the card shows; returns the card as it is then.

        The result is committed with the last approval that the card needs, each by another person.

        Args:
            card: as the person saw it: its version and the hash of what it shows are what is approved.
            decided_by: who.
            note: why, for the record.

        Raises:
            InvalidInput: `decided_by` cannot be a person's name.
            CardAlreadyDecided: somebody was first.
            CardClaimed: somebody else has it.
            CardChanged: it shows something else since it was read.
            Conflict: the same person has approved it before, or shared state has changed since the result was made.
        """
        return self._decide(card, approve=True, decided_by=decided_by, note=note)

    def deny(self, card: ReviewCard, decided_by: str, note: str | None) -> ReviewCard:
        """Refuses the result on the card for good; returns the card as it is then.

        Raises:
            InvalidInput: no reason is given, or `decided_by` cannot be a person's name.
            CardAlreadyDecided: somebody was first.
            CardClaimed: somebody else has it.
            CardChanged: it shows something else since it was read.
        """
        if not (note and note.strip()):
            raise InvalidInput("a denial needs a reason: --reason TEXT")
        return self._decide(card, approve=False, decided_by=decided_by, note=note)

    def edit(self, card: ReviewCard, output: Any, edited_by: str, note: str | None = None) -> ReviewCard:
        """Puts another output in the place of the card's, and returns the card as it is then.

        The policy in force gates it, except that it asks no confidence of a person. Where it finds what the card has
        not shown yet, the card stays open with the new version and the reasons. Else the edit counts as its editor's
        approval, and is committed if the card needs no other.

        Args:
            card: as the person saw it.
            output: JSON-compatible.
            edited_by: who.
            note: why, for the record.

        Raises:
            EditRefused: the policy denies it, or sends it back; the message has the reasons. Nothing was written.
            InvalidInput: the output is no JSON, too large, or what the card shows already; or `edited_by` cannot be a
                person's name.
            CardAlreadyDecided, CardClaimed, CardChanged, Conflict: as `approve`.
        """
        require_person(edited_by)
        while True:
            found = self._cards.to_edit(card.tenant_id, card.card_id)
            staged = self._edited(found.staged, output)
            if edited(found.staged, _output(card)).sha256 == staged.sha256:
                raise InvalidInput("the output is the one that the card shows: approve it, or change something")
            ruling = self._gated(staged, found.policy.policy)
            edit = CardEdit(
                card_id=card.card_id,
                version=card.version,
                seen_sha256=card.result_sha256,
                edited_by=edited_by,
                note=note,
                outcome=outcome_text(staged.outcome),
                sha256=staged.sha256,
                reasons=ruling.reasons,
                policy_version=found.policy.version,
                approve=not news(ruling.reasons, card.reasons),
            )
            try:
                decided = self._cards.edit(card.tenant_id, edit)
            except PolicyChanged:
                continue  # gated again, by the one that is in force now
            log_decisions(card.tenant_id, card.plan_id, decided)  # of its own output a person says no confidence
            failpoint(Failpoint.REVIEW_DECIDED, card.tenant_id)
            return self._reviews.card(card.tenant_id, card.card_id)

    def _edited(self, staged: Staged, output: Any) -> Staged:
        try:
            new = edited(staged, output)
        except (TypeError, ValueError) as exc:
            raise InvalidInput(f"the output is not JSON: {exc}") from None
        if new.size > self._max_output_bytes:
            raise InvalidInput(f"the output has {new.size} bytes, and {self._max_output_bytes} are allowed")
        return new

    def _gated(self, staged: Staged, policy: Policy) -> Ruling:
        self._schemas.learn([staged])
        ruling = gate_edit(staged, policy, self._schemas.fault(staged))
        if ruling.verdict is Verdict.DENY:
            reasons = "; ".join(map(str, ruling.reasons))
            raise EditRefused(f"nothing was changed: the policy in force does not allow this output: {reasons}")
        return ruling

    def _decide(self, card: ReviewCard, *, approve: bool, decided_by: str, note: str | None) -> ReviewCard:
        decision = CardDecision(
            card_id=card.card_id,
            version=card.version,
            seen_sha256=card.result_sha256,
            approve=approve,
            decided_by=require_person(decided_by),
            note=note,
        )
        decided = self._cards.decide(card.tenant_id, decision)
        confidences = {card.task_id: None if card.revision else card.confidence}
        log_decisions(card.tenant_id, card.plan_id, decided, confidences)
        failpoint(Failpoint.REVIEW_DECIDED, card.tenant_id)
        return self._reviews.card(card.tenant_id, card.card_id)


def _output(card: ReviewCard) -> Any:
    return json.loads(card.outcome or "{}").get("output")


def _claimable(seconds: float) -> float:
    if not 0 < seconds <= LONGEST_CLAIM_SECONDS:
        raise InvalidInput("a claim lasts more than nothing and at most a day")
    return seconds
