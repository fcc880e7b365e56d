"""Review cards to read, in memory."""

from uuid import UUID

from chimera.errors import CardNotFound
from chimera.models.review import CardStatus, ReviewCard
from chimera.ports import review_store as port
from tests.fakes.database import FakeDatabase


class FakeReviewStore(port.ReviewStore):
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def cards(self, tenant_id: str, *, plan_id: UUID | None, status: CardStatus | None, limit: int) -> list[ReviewCard]:
        cards = [card for (owner, _), card in self._database.opened().cards.items() if owner == tenant_id]
        cards = [card for card in cards if plan_id in {None, card.plan_id} and status in {None, card.status}]
        return sorted(cards, key=lambda card: card.card_id)[:limit]

    def card(self, tenant_id: str, card_id: UUID) -> ReviewCard:
        try:
            return self._database.opened().cards[tenant_id, card_id]
        except KeyError:
            raise CardNotFound from None
