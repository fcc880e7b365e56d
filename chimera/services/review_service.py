"""Reviewing: what waits for people, and what they decide."""

from uuid import UUID

from chimera.errors import InvalidInput
from chimera.failpoints import Failpoint, failpoint
from chimera.models.review import CardStatus, ReviewCard
from chimera.ports.decision_store import CardDecision, DecisionStore
from chimera.ports.review_store import ReviewStore


class ReviewService:
    """Shows cards, and writes people's decisions the way the Judge writes its own."""

    def __init__(self, reviews: ReviewStore, decisions: DecisionStore) -> None:
        self._reviews = reviews
        self._decisions = decisions

    def cards(
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None = None,
        status: CardStatus | None = CardStatus.PENDING,
        limit: int = 100,
    ) -> list[ReviewCard]:
        """The tenant's cards, oldest first; `status=None` for those of every status."""
        return self._reviews.cards(tenant_id, plan_id=plan_id, status=status, limit=limit)

    def card(self, tenant_id: str, card_id: UUID) -> ReviewCard:
        """One card.

        Raises:
            CardNotFound: the tenant has no such card.
        """
        return self._reviews.card(tenant_id, card_id)

    def approve(self, card: ReviewCard, decided_by: str, note: str | None = None) -> ReviewCard:
        """Commits the result on the card; returns the card as it is then.

        Raises:
            CardAlreadyDecided: somebody was first.
            Conflict: the card has changed since it was read, or shared state since the result was made.
        """
        return self._decide(card, approve=True, decided_by=decided_by, note=note)

    def deny(self, card: ReviewCard, decided_by: str, note: str | None) -> ReviewCard:
        """Refuses the result on the card for good; returns the card as it is then.

        Raises:
            InvalidInput: no reason is given.
            CardAlreadyDecided: somebody was first.
            Conflict: the card has changed since it was read.
        """
        if not (note and note.strip()):
            raise InvalidInput("a denial needs a reason: --reason TEXT")
        return self._decide(card, approve=False, decided_by=decided_by, note=note)

    def _decide(self, card: ReviewCard, *, approve: bool, decided_by: str, note: str | None) -> ReviewCard:
        decision = CardDecision(
            card_id=card.card_id, version=card.version, approve=approve, decided_by=decided_by, note=note
        )
        self._decisions.decide_card(card.tenant_id, decision)
        failpoint(Failpoint.REVIEW_DECIDED, card.tenant_id)
        return self._reviews.card(card.tenant_id, card.card_id)
