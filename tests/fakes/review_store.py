"""Review cards to read, in memory."""

from uuid import UUID

from chimera.models.gate.review import EVERY_CARD, CardFilter, CardStatus, ReviewCard, Revision
from chimera.ports import review_store as port
from tests.fakes.database import FakeDatabase


class FakeReviewStore(port.ReviewStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def cards(
        self,
        tenant_id: str,
        *,
        plan_id: UUID | None,
        status: CardStatus | None,
        limit: int,
        wanted: CardFilter = EVERY_CARD,
    ) -> list[ReviewCard]:
        cards = [self._shown(card) for (owner, _), card in self._database.opened().cards.items() if owner == tenant_id]
        cards = [card for card in cards if plan_id in {None, card.plan_id} and status in {None, card.status}]
        return sorted(filter(wanted.holds, cards), key=lambda card: card.card_id)[:limit]

    def card(self, tenant_id: str, card_id: UUID) -> ReviewCard:
        return self._shown(self._database.opened().asked_card(tenant_id, card_id))

    def revisions(self, tenant_id: str, card_id: UUID) -> list[Revision]:
        card = self._database.opened().asked_card(tenant_id, card_id)
        return self._database.revisions[tenant_id, card_id] or [first_revision(card)]

    def _shown(self, card: ReviewCard) -> ReviewCard:
        """Without a claim that is over, and with why it was erased."""
        card = card.model_copy(update={"erasure_reason": self._database.erasure_reason(card)})
        if card.claim_expires_at is None or card.claim_expires_at > self._database.now():
            return card
        return card.model_copy(update={"claimed_by": None, "claim_expires_at": None})


def first_revision(card: ReviewCard) -> Revision:
    """What the agent staged, of a card that nobody has edited."""
    return Revision(
        number=0,
        outcome=card.outcome,
        sha256=card.result_sha256,
        reasons=card.reasons,
        policy_version=card.policy_version,
    )
